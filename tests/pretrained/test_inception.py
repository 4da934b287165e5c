import hashlib

import numpy as np
import pytest

from pseudovideo import convert, errors
from pseudovideo.pretrained import inception, resize, weights
from pseudovideo.pretrained.networks import inception as models_inception
from tests.pretrained.networks import inception_reference as reference


@pytest.fixture(scope="module")
def network():
  return inception.from_state_dict(reference.state_dict())


def tf1_bilinear(images):
  """(B, C, 299, 299): rows, then columns, read at multiples of 32/299."""
  places = np.arange(299) * 32 / 299

  def along(x):
    return np.apply_along_axis(
      lambda line: np.interp(places, np.arange(32), line), -1, x
    )

  x = along(np.float64(images).transpose(0, 3, 1, 2))
  return along(x.swapaxes(2, 3)).swapaxes(2, 3)


@pytest.mark.parametrize("dim", [192, 2048])
def test_features_and_logits_without_bias(network, monkeypatch, dim):
  """The network itself is tested in tests/models/test_inception.py."""
  seen = []
  outputs = {
    name: np.ones(1) for name in ("192", "2048", "logits", "logits_unbiased")
  }

  def apply(self, variables, x):
    seen.append((variables, x))
    return outputs

  monkeypatch.setattr(models_inception.InceptionV3, "apply", apply)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
  forward = inception._forward(resize.RESIZES["tf1"], dim)
  features, logits = forward(network.params, images)
  assert features is outputs[str(dim)]
  assert logits is outputs["logits_unbiased"]
  ((variables, x),) = seen
  assert variables is network.params
  expected = (tf1_bilinear(images) - 128) / 128
  # Five roundings by 6e-8 or so of numbers up to 255, divided by 128.
  np.testing.assert_allclose(
    x, expected.transpose(0, 2, 3, 1), rtol=0, atol=2e-6
  )


def test_unpublished_weights_cannot_pass_for_published(network):
  assert network.name == f"unofficial-inception-{network.weights_hash[:8]}"
  arrays = dict(reference.state_dict())
  arrays["fc.bias"] = arrays["fc.bias"] + np.float32(1)
  other = inception.from_state_dict(arrays, resize="clean", dim=64)
  assert other.name.startswith("unofficial-inception64-clean-")
  assert other.weights_hash != network.weights_hash
  facts = other.provenance()
  assert facts["published"] is False
  assert facts["resize"] == "clean"
  assert facts["value_range"] == [-1.0, 127 / 128]


@pytest.fixture
def published(tmp_path, monkeypatch):
  """A file that is taken for the published one."""
  path = tmp_path / "weights.npz"
  convert.write(path, reference.state_dict())
  digest = hashlib.sha256(path.read_bytes()).hexdigest()
  file = weights.Published("Inception", ("weights.npz",), digest, "nowhere")
  monkeypatch.setattr(weights, "INCEPTION", file)
  monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
  return path


def test_published_weights(published, network):
  found = inception.load()
  assert found.name == "inception"
  assert found.weights_hash == weights.INCEPTION.sha256
  assert found.forward == network.forward
  assert found.provenance() == {
    "name": "inception",
    "weights_hash": weights.INCEPTION.sha256,
    "feature_dim": 2048,
    "weights": "Inception",
    "published": True,
    "resize": "tf1",
    "value_range": [-1.0, 127 / 128],
  }
  np.testing.assert_array_equal(
    found.params["params"]["fc"]["kernel"],
    network.params["params"]["fc"]["kernel"],
  )
  names = {
    inception.load(published, resize=resize, dim=dim).name
    for resize, dim in [
      ("clean", 2048),
      ("tf1", 192),
      ("pytorch_fid", 768),
    ]
  }
  assert names == {
    "inception-clean",
    "inception192",
    "inception768-pytorch_fid",
  }


def test_an_altered_file_is_refused(published):
  data = bytearray(published.read_bytes())
  data[len(data) // 2] ^= 1
  published.write_bytes(data)
  with pytest.raises(errors.UserError, match="it was cut or altered"):
    inception.load()


def test_no_other_file_is_the_published_one(tmp_path):
  path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
  convert.write(tmp_path / "own.npz", {"fc.bias": np.zeros(1008)})
  (tmp_path / "own.npz").rename(path)
  with pytest.raises(errors.UserError, match="SHA-256"):
    inception.load(path)


def test_unknown_choices_are_refused_before_anything_is_read():
  with pytest.raises(errors.UserError, match="Choose one of: clean, pytorch"):
    inception.load("nowhere.pth", resize="none")
  with pytest.raises(
    errors.UserError, match="choose one of 64, 192, 768, 2048"
  ):
    inception.load("nowhere.pth", dim=100)

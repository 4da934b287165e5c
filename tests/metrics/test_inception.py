import hashlib

import numpy as np
import pytest

from pseudovideo import convert, errors
from pseudovideo.metrics import inception, weights
from tests.models import inception_reference as reference

LIMIT = 1e-5


@pytest.fixture(scope="module")
def images():
  """One more than a batch of four: the second batch is padding mostly."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
  return inception.from_state_dict(reference.state_dict())


@pytest.fixture(scope="module")
def seen(network, images):
  return network(images, batch_size=4)


def tf1_bilinear(images):
  """(B, C, 299, 299): rows, then columns, read at multiples of 32/299."""
  places = np.arange(299) * 32 / 299

  def along(x):
    return np.apply_along_axis(
      lambda line: np.interp(places, np.arange(32), line), -1, x
    )

  x = along(np.float64(images).transpose(0, 3, 1, 2))
  return along(x.swapaxes(2, 3)).swapaxes(2, 3)


@pytest.fixture(scope="module")
def expected(images):
  x = (tf1_bilinear(images[[0, 4]]) - 128) / 128
  return reference.Network(reference.state_dict())(x)


def distance(one, other):
  return np.linalg.norm(one - other) / np.linalg.norm(other)


def test_features_and_logits_without_bias(seen, expected):
  features, logits = seen
  assert features.shape == (5, 2048) and logits.shape == (5, 1008)
  assert distance(features[[0, 4]], expected["2048"]) < LIMIT
  assert distance(logits[[0, 4]], expected["logits_unbiased"]) < LIMIT
  assert distance(expected["logits"], expected["logits_unbiased"]) > 10 * LIMIT


def test_padding_changes_no_bit(network, images, seen):
  alone = network(images[4:], batch_size=4)
  np.testing.assert_array_equal(alone[0], seen[0][4:])
  np.testing.assert_array_equal(alone[1], seen[1][4:])


def test_features_of_another_layer(images, expected):
  network = inception.from_state_dict(reference.state_dict(), dim=192)
  features, logits = network(images[[0, 4]], batch_size=4)
  assert distance(features, expected["192"]) < LIMIT
  assert distance(logits, expected["logits_unbiased"]) < LIMIT


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

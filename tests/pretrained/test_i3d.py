"""I3D on videos: what goes in, batches, names."""

import dataclasses
import hashlib

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import convert, errors
from pseudovideo.metrics import set_metrics
from pseudovideo.pretrained import i3d
from pseudovideo.pretrained.networks import i3d as networks
from tests.pretrained.networks import backbone_reference as reference


@pytest.fixture(scope="module")
def state_dict():
  return reference.make(reference.i3d_arrays())


@pytest.fixture(scope="module")
def path(state_dict, tmp_path_factory):
  file = tmp_path_factory.mktemp("weights") / "i3d.safetensors"
  convert.write(file, state_dict)
  return file


@pytest.fixture(scope="module")
def network(path):
  return i3d.load(path)


def _videos(*shape, seed=0):
  return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _read_between(image, y, x):
  """Bilinear between the pixels of (H, W, C); the border is repeated."""
  top, left = int(y), int(x)
  rows = [min(top + k, image.shape[0] - 1) for k in (0, 1)]
  columns = [min(left + k, image.shape[1] - 1) for k in (0, 1)]
  upper, lower = (
    image[row, columns[0]] * (1 - (x - left))
    + image[row, columns[1]] * (x - left)
    for row in rows
  )
  return upper * (1 - (y - top)) + lower * (y - top)


def _preprocessed(videos):
  """TensorFlow 1: pixel i reads at i * size / 224; then 2 x / 255 - 1."""
  n, t, height, width, channels = videos.shape
  out = np.empty((n, t, 224, 224, channels))
  for i, j in np.ndindex(n, t):
    frame = np.float64(videos[i, j])
    for row, column in np.ndindex(224, 224):
      out[i, j, row, column] = _read_between(
        frame, row * height / 224, column * width / 224
      )
  return 2 * out / 255 - 1


@pytest.mark.parametrize("sides", [(17, 30), (300, 224)])
def test_preprocessing(sides):
  videos = _videos(1, 2, *sides, 3)
  found = np.asarray(i3d.preprocess(jnp.asarray(videos)))
  np.testing.assert_allclose(found, _preprocessed(videos), atol=2e-6)


def test_black_and_white_and_grey():
  videos = np.zeros((1, 2, 8, 8, 1), np.uint8)
  videos[0, 1] = 255
  found = np.asarray(i3d.preprocess(jnp.asarray(videos)))
  assert found.shape == (1, 2, 224, 224, 3)
  np.testing.assert_allclose(found[0, 0], -1, atol=1e-6)
  np.testing.assert_allclose(found[0, 1], 1, atol=1e-6)


class Corners(nn.Module):
  """In I3D's place: the first pixel of the first and last frame."""

  @nn.compact
  def __call__(self, x):
    ends = jnp.concatenate([x[:, 0, 0, 0], x[:, -1, 0, 0]], axis=-1)
    return jnp.pad(ends, ((0, 0), (0, 394)))


@pytest.mark.parametrize(("batch_size", "frames"), [(4, 9), (7, 12)])
def test_every_video_is_seen_once_and_in_order(network, batch_size, frames):
  """The first pixels are aligned, so they are not mixed with others."""
  videos = _videos(6, frames, 10, 12, 3)
  corners = dataclasses.replace(
    network, forward=i3d._forward(Corners()), params={}
  )
  found, _ = corners(videos, batch_size)
  assert found.shape == (6, 400) and found.dtype == np.float32
  expected = videos[:, [0, -1], 0, 0].reshape(6, 6) / 127.5 - 1
  np.testing.assert_allclose(found[:, :6], expected, atol=1e-6)


@pytest.mark.parametrize("epsilon", ["tf_hub", "videogpt"])
def test_name_says_which_file_and_epsilon(path, epsilon):
  digest = hashlib.sha256(path.read_bytes()).hexdigest()
  network = i3d.load(path, epsilon=epsilon)
  kind = {"tf_hub": "i3d", "videogpt": "i3d-videogpt"}[epsilon]
  value = {"tf_hub": 1e-3, "videogpt": 1e-5}[epsilon]
  assert network.name == f"{kind}-{digest[:8]}"
  assert set_metrics.named("FD", network) == f"FVD-{kind}-{digest[:8]}"
  assert network.forward is i3d._forward(networks.I3D(value))
  assert network.provenance() == {
    "name": network.name,
    "feature_dim": 400,
    "resize": "tf1_bilinear to 224x224",
    "value_range": [-1.0, 1.0],
    "weights_hash": digest,
    "weights": "I3D (Kinetics-400)",
    "epsilon": value,
  }


def test_unknown_epsilon(path):
  with pytest.raises(errors.UserError, match=r"'tfhub'.*tf_hub, videogpt"):
    i3d.load(path, epsilon="tfhub")


def test_too_few_frames(network):
  said = r"takes videos of shape \(at least 9, H, W, 1 or 3\); got \(8, 16"
  with pytest.raises(errors.UserError, match=said):
    network(_videos(2, 8, 16, 16, 3))


def test_other_arrays_are_refused(network):
  for videos in (
    np.zeros((1, 9, 16, 16, 3), np.float32),
    np.zeros((1, 9, 16, 16, 2), np.uint8),
    np.zeros((9, 16, 16, 3), np.uint8),
  ):
    with pytest.raises(ValueError, match=r"takes (uint8|videos)"):
      network(videos)


@pytest.mark.slow("a network of the published size, in float64 too")
def test_logits(network, state_dict):
  videos = _videos(1, 9, 64, 48, 3)
  x = np.float64(i3d.preprocess(jnp.asarray(videos)))
  x = np.moveaxis(x, -1, 1)
  expected = reference.i3d(state_dict, x, 1e-3, (2, 7, 7))
  found, _ = network(videos, 1)
  assert reference.relative_error(found, expected) < 1e-5

"""LPIPS is its formula, on weights made by rule."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.metrics import lpips
from pseudovideo.pretrained import weights
from tests.pretrained.networks import backbone_reference as reference

ARRAYS = {"vgg": reference.vgg16_arrays, "alex": reference.alexnet_arrays}
MAPS = {"vgg": reference.vgg16, "alex": reference.alexnet}
SIDES = {"vgg": (17, 16), "alex": (31, 36)}


def load(name, network, linear) -> lpips.LPIPS:
  """The metric as if these were the published files."""
  chosen = lpips.BACKBONES[name]
  files = {chosen.published: (network, "ab"), chosen.linear: (linear, "cd")}
  with mock.patch.object(weights, "read", lambda file, path: files[file]):
    return lpips.load(name)


@pytest.fixture(scope="module")
def state_dicts():
  return {
    name: (
      reference.make(arrays(), empty="classifier"),
      reference.lpips_linear(lpips.BACKBONES[name].channels),
    )
    for name, arrays in ARRAYS.items()
  }


@pytest.fixture(scope="module")
def metrics(state_dicts):
  return {name: load(name, *both) for name, both in state_dicts.items()}


def _pairs(name, num=2, seed=0):
  rng = np.random.default_rng(seed)
  shape = (2, num, *SIDES[name], 3)
  return rng.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("name", ARRAYS)
def test_equals_the_formula(metrics, state_dicts, name):
  x, y = _pairs(name)
  net, linear = state_dicts[name]
  maps = [MAPS[name](net, reference.lpips_input(images)) for images in (x, y)]
  expected = reference.lpips(*maps, linear)
  found = metrics[name](x, y, batch_size=4)
  assert found.shape == (2,) and found.dtype == np.float32
  assert expected.min() > 0.01
  # Thirteen convolutions in a row, over up to 4,608 numbers that are summed in
  # parts of no more than 100: 1,300 roundings by 6e-8 at the very worst.
  np.testing.assert_allclose(found, expected, rtol=5e-5)


def test_zero_for_equal_images_and_symmetric(metrics):
  x, y = _pairs("alex")
  np.testing.assert_array_equal(metrics["alex"](x, x, 4), np.zeros(2))
  there, back = metrics["alex"](x, y, 4), metrics["alex"](y, x, 4)
  # The same sum but for the signs of what is squared.
  np.testing.assert_allclose(there, back, rtol=1e-6)


def test_one_pixel_is_seen(metrics):
  x, _ = _pairs("alex")
  y = x.copy()
  y[1, 20, 20, 0] ^= 128
  zero, seen = metrics["alex"](x, y, 4)
  assert zero == 0 < seen


def test_videos_and_grey_and_batches(metrics):
  """Pairs do not see each other, whatever the batch and its padding are."""
  metric = metrics["alex"]
  x, y = _pairs("alex", num=6)[..., :1]
  expected = metric(np.repeat(x, 3, -1), np.repeat(y, 3, -1), 4)
  # Of another program: five convolutions in a row, sums of up to 3,456 numbers.
  close = dict(rtol=2e-5)
  np.testing.assert_allclose(metric(x, y, 8), expected, **close)
  videos = [pair.reshape(2, 3, *pair.shape[1:]) for pair in (x, y)]
  found = metric(*videos, 8)
  assert found.shape == (2, 3)
  np.testing.assert_allclose(found.reshape(-1), expected, **close)


def _floats():
  return np.float32(_pairs("alex", num=1)) / np.float32(127.5) - 1


@pytest.fixture(scope="module")
def gradient(metrics):
  """The gradient of the sum over the batch by the first images, AlexNet."""

  def total(x, y, params):
    return lpips.distance(params, x, y, backbone="alex").sum()

  slope = jax.jit(jax.grad(total))

  def compute(x, y, params=metrics["alex"].params):
    return np.asarray(slope(x, y, params))

  return compute


def test_gradient_is_the_slope(metrics, gradient):
  """Against a central difference along the gradient itself."""
  x, y = _floats()
  slope = gradient(x, y)
  direction = slope / np.linalg.norm(slope)
  step = np.float32(2e-2)
  distance = jax.jit(functools.partial(lpips.distance, backbone="alex"))

  def at(position):
    return float(distance(metrics["alex"].params, position, y)[0])

  difference = at(x + step * direction) - at(x - step * direction)
  expected = np.linalg.norm(slope)
  np.testing.assert_allclose(difference / (2 * step), expected, rtol=0.02)


def test_gradient_is_zero_for_equal_images(gradient):
  x, _ = _floats()
  np.testing.assert_array_equal(gradient(x, x), np.zeros(x.shape))


def test_the_slope_of_the_length_is_zero_at_zero():
  """It would be NaN, which a ReLU before it may hide."""
  slope = jax.jit(jax.jacobian(lpips._unit))(jnp.zeros(3))
  np.testing.assert_allclose(slope, 1e10 * np.eye(3), rtol=1e-6)


def test_dead_activations_have_a_finite_gradient(metrics, gradient):
  """The length is 0, and so is its slope, where no channel is positive."""
  params = metrics["alex"].params
  net = jax.tree.map(np.array, params["net"])
  net["features_10"]["bias"][:] = -1e4
  x, y = _floats()
  slope = gradient(x, y, {**params, "net": net})
  assert np.isfinite(slope).all() and np.abs(slope).max() > 0


def test_published_weights(state_dicts, monkeypatch):
  files = {
    weights.ALEXNET: (state_dicts["alex"][0], "a" * 64, "net.pth"),
    weights.LPIPS_ALEX: (state_dicts["alex"][1], "b" * 64, "lin.pth"),
  }

  def read(published, path):
    arrays, digest, expected = files[published]
    assert path == expected
    return arrays, digest

  monkeypatch.setattr(weights, "read", read)
  metric = lpips.load("alex", network="net.pth", linear="lin.pth")
  assert metric.provenance() == {
    "name": "LPIPS-alex",
    "version": "v0.1",
    "network_sha256": "a" * 64,
    "linear_sha256": "b" * 64,
  }


def test_other_files_are_not_published_weights(tmp_path):
  path = tmp_path / "alex.pth"
  path.write_bytes(b"nothing")
  with pytest.raises(errors.UserError, match="SHA-256"):
    lpips.load("alex", network=path, linear=path)


def test_unknown_network():
  with pytest.raises(errors.UserError, match=r"'vggg'.*alex, vgg"):
    lpips.load("vggg")


@pytest.mark.parametrize(
  ("name", "sides", "smallest"),
  [("vgg", (15, 40), 16), ("alex", (40, 30), 31)],
)
def test_too_small_images(metrics, name, sides, smallest):
  images = np.zeros((1, *sides, 3), np.uint8)
  said = f"Images of {sides[0]}x{sides[1]} .* takes {smallest} or more"
  with pytest.raises(errors.UserError, match=said):
    metrics[name](images, images)


def test_other_arrays_are_refused(metrics):
  images = np.zeros((1, 31, 31, 3), np.uint8)
  for x, y, said in [
    (np.float32(images), np.float32(images), "have the types float32"),
    (images, images.repeat(2, 0), r"have the shapes \(1, 31"),
    (images[..., :2], images[..., :2], "1 or 3 channels, and these have 2"),
  ]:
    with pytest.raises(errors.UserError, match=said):
      metrics["alex"](x, y)

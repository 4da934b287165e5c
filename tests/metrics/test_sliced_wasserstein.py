"""Sliced Wasserstein distances against closed forms and optimal transport."""

import numpy as np
import pytest
from scipy import optimize

from pseudovideo.metrics import sliced_wasserstein
from tests.metrics import pixel_network


def projections(images, seed=0):
  return sliced_wasserstein.projections([images], len(images), seed)


def distance(one, other, seed=0):
  return sliced_wasserstein.distance(
    projections(one, seed), projections(other, seed)
  )


def squared_transport(x, y):
  """The least mean square cost of moving numbers x to numbers y."""
  cost = np.square(x[:, None] - y)
  return cost[optimize.linear_sum_assignment(cost)].mean()


def directions(shape, seed=0):
  """Directions (K, D) as images with one white pixel show them."""
  size = int(np.prod(shape))
  images = np.zeros((size, 1, size), np.uint8)
  images[np.arange(size), 0, np.arange(size)] = 255
  # Patches have their channels before rows and columns.
  height, width, channels = shape
  images = images.reshape(size, 1, channels, height, width)
  images = np.moveaxis(images, 2, -1)
  return np.stack([projections(one, seed)[:, 0] for one in images], 1)


def test_single_pixels_are_transported():
  """Images of one pixel have the directions 1 and -1."""
  one, other = (pixel_network.images(60, seed, (1, 1, 1)) for seed in (0, 1))
  other //= 3
  expected = squared_transport(one.ravel() / 255, other.ravel() / 255)
  assert distance(one, other) == pytest.approx(np.sqrt(expected), rel=1e-12)


@pytest.mark.parametrize("shape", [(2, 2, 3), (3, 3, 1)])
def test_every_projection_is_transported(shape):
  """Images of one patch."""
  one, other = (pixel_network.images(20, seed, shape) for seed in (0, 1))
  other //= 2
  found = directions(shape)
  flat = [
    np.moveaxis(some, 3, 1).reshape(20, -1) / 255 for some in (one, other)
  ]
  expected = np.mean(
    [squared_transport(*(some @ row for some in flat)) for row in found]
  )
  assert distance(one, other) == pytest.approx(np.sqrt(expected), rel=1e-9)


@pytest.mark.parametrize(
  ("shape", "dim"), [((9, 12, 3), 147), ((4, 9, 1), 16), ((3, 3, 3), 27)]
)
def test_a_shift_of_all_pixels(shape, dim):
  """|c| times the root mean square sum of directions, which is about 1."""
  images = pixel_network.images(30, shape=shape) // 2
  found = distance(images, images + np.uint8(51))
  white = np.full((1, *shape), 255, np.uint8)
  sums = projections(white)[:, 0]
  root = np.sqrt(np.square(sums).mean())
  assert found == pytest.approx(51 / 255 * root, rel=1e-9)
  # A squared sum has the mean 1 and a deviation just below sqrt(2).
  assert root**2 == pytest.approx(1, abs=4 * np.sqrt(2 / len(sums)))
  assert np.abs(sums).max() <= np.sqrt(dim)


@pytest.mark.parametrize("shape", [(2, 2, 3), (3, 3, 1)])
def test_directions_have_length_one(shape):
  found = directions(shape)
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-12)
  assert not np.array_equal(found, directions(shape, seed=1))


def test_gaussians_of_two_deviations():
  """W2 = |s1 - s2|. A deviation of 4,000 samples is off by s / sqrt(2 N)."""
  num, deviations = 4000, (15.0, 30.0)
  rng = np.random.default_rng(0)
  noise = rng.normal(size=(2, num, 7, 7, 1))
  one, other = (
    np.clip(np.rint(128 + s * some), 0, 255).astype(np.uint8)
    for s, some in zip(deviations, noise, strict=True)
  )
  error = 4 * np.hypot(*deviations) / np.sqrt(2 * num)
  assert 255 * distance(one, other) == pytest.approx(15, abs=error)


@pytest.mark.parametrize("row", [0, 8])
@pytest.mark.parametrize("column", [0, 10])
def test_corners_are_seen_as_often_as_all_else(row, column):
  """One of 3 x 5 patches has the white corner, one number of 49."""
  black = np.zeros((40, 9, 11, 1), np.uint8)
  white = black.copy()
  white[:, row, column] = 255
  squared = distance(black, white) ** 2
  # 5,120 patches and 256 directions; the fourth moment of one is 3 / 49^2.
  deviation = np.sqrt(14 / 5120 + 2 / 256)
  assert squared == pytest.approx(1 / 15 / 49, rel=4 * deviation)


def test_equal_sets_have_no_distance():
  images = pixel_network.images(30, shape=(16, 12, 3))
  assert distance(images, images.copy()) == 0


def test_the_order_of_images_of_one_patch_does_not_matter():
  one, other = (pixel_network.images(50, s, (7, 7, 3)) for s in (0, 1))
  assert distance(one, one[::-1]) == pytest.approx(0, abs=1e-12)
  assert distance(one[::-1], other) == pytest.approx(
    distance(one, other), rel=1e-9
  )


def test_other_windows_are_noise():
  """Of the order of 1 / sqrt(patches), which a shift exceeds many times."""
  images = pixel_network.images(200, shape=(12, 12, 1)) // 2
  noise = distance(images, images[::-1])
  assert 0 < 10 * noise < distance(images, images + np.uint8(100))


def test_blocks_do_not_matter():
  images = pixel_network.images(40, shape=(10, 13, 3))
  cut = sliced_wasserstein.projections(np.split(images, [1, 8, 31]), 40, 3)
  np.testing.assert_allclose(cut, projections(images, 3), atol=1e-12)


@pytest.mark.parametrize("num", [2, 511, 512, 513, 10_000, 65_535, 65_536])
def test_memory_is_bounded(num):
  each = sliced_wasserstein.patches_per_image(num)
  assert 1 <= each <= sliced_wasserstein.MOST_PER_IMAGE
  assert num * each <= sliced_wasserstein.MOST_PATCHES

import numpy as np
import pytest
from sklearn import neighbors

from pseudovideo.metrics import neighbours


def _images(num, seed):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (num, 5, 4, 3), dtype=np.uint8)


def test_equals_brute_force_for_every_block():
  images, training = _images(23, 0), _images(31, 1)
  tree = neighbors.NearestNeighbors(n_neighbors=1, algorithm="brute")
  tree.fit(training.reshape(31, -1) / 255.0)
  expected, _ = tree.kneighbors(images.reshape(23, -1) / 255.0)
  for block in (1, 7, 1000):
    found = neighbours.nearest_distances(images, training, block=block)
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-9)


def test_a_copy_has_distance_exactly_zero():
  training = _images(40, 2)
  images = np.concatenate([training[[11, 3]], _images(1, 5)])
  distances = neighbours.nearest_distances(images, training, block=16)
  assert (distances[:2] == 0).all()
  assert distances[2] > 0


def test_unit_is_a_pixel_from_black_to_white():
  black = np.zeros((1, 8, 8, 1), np.uint8)
  assert neighbours.nearest_distances(black, black + 255) == 8.0


def test_other_images_are_refused():
  with pytest.raises(ValueError, match="uint8"):
    neighbours.nearest_distances(np.zeros((2, 4, 4, 1)), _images(2, 0))
  with pytest.raises(ValueError, match="cannot be compared"):
    neighbours.nearest_distances(_images(2, 0)[:, :4], _images(2, 0))
  with pytest.raises(ValueError, match="0 training images"):
    neighbours.nearest_distances(_images(2, 0), _images(0, 0))

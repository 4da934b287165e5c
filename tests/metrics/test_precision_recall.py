import numpy as np
import pytest
from scipy.spatial import distance
from sklearn import neighbors

from pseudovideo import errors
from pseudovideo.metrics.precision_recall import (
  nearest_distances,
  nearest_features,
  precision_recall,
)


def _sets(num, other, dim, shift=0.5, seed=0):
  rng = np.random.default_rng(seed)
  mixing = rng.normal(size=(dim, dim))
  return rng.normal(size=(num, dim)) @ mixing, (
    shift + rng.normal(size=(other, dim)) @ mixing
  )


def _share_inside(points, balls, k):
  """The definition: one vector and one ball at a time."""
  inside = 0
  for point in points:
    for i, centre in enumerate(balls):
      others = [b for j, b in enumerate(balls) if j != i]
      radius = sorted(np.sum((o - centre) ** 2) for o in others)[k - 1]
      if np.sum((point - centre) ** 2) <= radius:
        inside += 1
        break
  return inside / len(points)


def test_equals_the_definition():
  real, generated = _sets(31, 23, 4, shift=2.5)
  for k in (1, 3, 5):
    expected = (
      _share_inside(generated, real, k),
      _share_inside(real, generated, k),
    )
    assert all(0 < share < 1 for share in expected)
    assert precision_recall(real, generated, neighbours=k) == expected


def _by_libraries(real, generated, k):
  shares = []
  for points, balls in [(generated, real), (real, generated)]:
    tree = neighbors.NearestNeighbors(n_neighbors=k).fit(balls)
    # Without a query, scikit-learn leaves each vector out by its index.
    radii = tree.kneighbors()[0][:, -1]
    inside = distance.cdist(points, balls) <= radii
    shares.append(inside.any(1).mean())
  return tuple(shares)


def test_equals_scipy_and_sklearn_for_every_block():
  real, generated = _sets(210, 150, 6)
  expected = _by_libraries(real, generated, 3)
  assert all(0 < share < 1 for share in expected)
  for block in (1, 17, 64, 4096):
    assert precision_recall(real, generated, block=block) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_far_from_zero(dtype):
  real, generated = (
    (s + 1e4).astype(dtype).astype(np.float64) for s in _sets(200, 180, 6)
  )
  # Exact in float64, so that the reference has no offset to cope with.
  expected = _by_libraries(real - 1e4, generated - 1e4, 3)
  found = precision_recall(real.astype(dtype), generated.astype(dtype))
  assert found == expected


def test_integer_lattices_whose_distances_tie():
  """Points on the surface of a ball are inside, for every block."""
  rng = np.random.default_rng(4)
  real, generated = rng.integers(0, 4, (60, 5)), rng.integers(1, 5, (50, 5))
  expected = (
    _share_inside(generated, real, 3),
    _share_inside(real, generated, 3),
  )
  assert all(0 < share < 1 for share in expected)
  for block in (1, 7, 100):
    found = precision_recall(real + 0.1, generated + 0.1, block=block)
    assert found == expected


def test_identical_and_disjoint_sets():
  real, _ = _sets(90, 2, 8)
  order = np.random.default_rng(1).permutation(90)
  assert precision_recall(real, real[order], block=32) == (1.0, 1.0)
  assert precision_recall(real, real + 1e3) == (0.0, 0.0)


def test_half_of_the_modes():
  """Two far modes; one side has copies of a single one of them."""
  here, _ = _sets(60, 2, 5)
  both = np.concatenate([here, here + 1e4])
  assert precision_recall(both, here) == (1.0, 0.5)
  assert precision_recall(here, both) == (0.5, 1.0)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_four_copies_have_radius_zero(offset):
  copied, _ = _sets(5, 2, 64)
  real = offset + np.repeat(copied, 4, 0)
  assert precision_recall(real, real, block=3) == (1.0, 1.0)
  near = real + 1e-6
  assert precision_recall(real, near, block=3) == (0.0, 0.0)
  mixed = np.concatenate([real, near])
  assert precision_recall(real, mixed) == (0.5, 1.0)


def test_a_duplicate_is_a_neighbour():
  """Radii at k = 1 of 0, 0, 1, 1: by value the first two would be 1."""
  real = np.array([[0.0], [0.0], [1.0], [2.0]])
  generated = np.array([[-0.5], [-9.0], [2.5]])
  assert precision_recall(real, generated, neighbours=1)[0] == 1 / 3


def test_all_vectors_equal():
  same = np.full((9, 4), 0.1)
  assert precision_recall(same, same, block=4) == (1.0, 1.0)
  assert precision_recall(same, same + 1e-9, block=4) == (0.0, 0.0)


def test_what_cannot_be_compared_is_a_sentence():
  good = np.zeros((5, 2))
  for real, generated, k, message in [
    (good, good[:3], 3, "more vectors than neighbours"),
    (good, good, 0, "at least one neighbour"),
    (good, np.zeros((5, 3)), 3, "one D"),
    (good[0], good[0], 1, "one D"),
    (good, np.full((5, 2), np.inf), 3, "NaN or infinite"),
  ]:
    with pytest.raises(errors.UserError, match=message):
      precision_recall(real, generated, neighbours=k)


def _images(num, seed):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (num, 5, 4, 3), dtype=np.uint8)


def test_nearest_distances_equal_brute_force_for_every_block():
  images, training = _images(23, 0), _images(31, 1)
  tree = neighbors.NearestNeighbors(n_neighbors=1, algorithm="brute")
  tree.fit(training.reshape(31, -1) / 255.0)
  expected, _ = tree.kneighbors(images.reshape(23, -1) / 255.0)
  for block in (1, 7, 1000):
    found = nearest_distances(images, training, block=block)
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-9)


def test_a_copy_has_distance_exactly_zero():
  training = _images(40, 2)
  images = np.concatenate([training[[11, 3]], _images(1, 5)])
  distances = nearest_distances(images, training, block=16)
  assert (distances[:2] == 0).all()
  assert distances[2] > 0


def test_unit_is_a_pixel_from_black_to_white():
  black = np.zeros((1, 8, 8, 1), np.uint8)
  assert nearest_distances(black, black + 255) == 8.0


def test_images_that_have_no_distance_are_refused():
  with pytest.raises(ValueError, match="uint8"):
    nearest_distances(np.zeros((2, 4, 4, 1)), _images(2, 0))
  with pytest.raises(ValueError, match="cannot be compared"):
    nearest_distances(_images(2, 0)[:, :4], _images(2, 0))
  with pytest.raises(ValueError, match="0 training images"):
    nearest_distances(_images(2, 0), _images(0, 0))


@pytest.mark.parametrize("block", [3, 1024])
def test_nearest_features_equal_brute_force(block):
  rng = np.random.default_rng(0)
  reference = 100 + rng.standard_normal((20, 5))
  features = np.concatenate([100 + rng.standard_normal((9, 5)), reference[3:5]])
  found = nearest_features(features, reference, block=block)
  expected = distance.cdist(features, reference).min(1)
  np.testing.assert_allclose(found, expected, rtol=1e-9)
  assert (found[-2:] == 0).all()


@pytest.mark.parametrize("shape", [(0, 5), (4, 6)])
def test_features_that_have_no_distance_are_refused(shape):
  with pytest.raises(ValueError, match="cannot be compared"):
    nearest_features(np.zeros((3, 5)), np.zeros(shape))

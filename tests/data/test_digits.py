"""The digits and their split."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pseudovideo import data
from pseudovideo.data import digits


@pytest.fixture(scope="module")
def image_set() -> data.ImageSet:
  return data.load("digits")


def test_images_are_the_grey_levels_of_sklearn(image_set: data.ImageSet):
  assert image_set.image_shape == (8, 8, 1)
  both = np.concatenate([image_set.train_images, image_set.test_images])
  levels = np.round(both * (16 / 255))
  np.testing.assert_array_equal(both, np.round(levels * 255 / 16))
  assert sorted(map(tuple, levels.reshape(-1, 64))) == sorted(
    map(tuple, load_digits().data)
  )


def test_split_is_disjoint_complete_and_labels_follow(
  image_set: data.ImageSet,
):
  raw = load_digits()
  test = digits.held_out(raw.target, 360)
  assert test.sum() == 360
  assert len(image_set.train_images) == 1437
  for part, images, labels in (
    (~test, image_set.train_images, image_set.train_labels),
    (test, image_set.test_images, image_set.test_labels),
  ):
    np.testing.assert_array_equal(labels, raw.target[part])
    np.testing.assert_array_equal(
      np.round(images[..., 0] * (16 / 255)), raw.images[part]
    )
    assert labels.dtype == np.int32


def test_split_is_stratified(image_set: data.ImageSet):
  train = np.bincount(image_set.train_labels, minlength=10)
  test = np.bincount(image_set.test_labels, minlength=10)
  # Rounding a share up or down, and nothing worse.
  assert (np.abs(test - (train + test) * 360 / 1797) < 1).all()


def test_split_is_frozen(image_set: data.ImageSet):
  assert image_set.fingerprint == (
    "9b6dd294b074533990f4d97befb6cdc7726d3ad30afbe99cba624daa522d39fd"
  )


def test_held_out_counts_are_exact():
  labels = np.array([0] * 3 + [1] * 7 + [2] * 10)
  for num in (0, 1, 7, 20):
    marks = digits.held_out(labels, num)
    assert marks.sum() == num
    shares = num * np.array([3, 7, 10]) / 20
    counts = np.bincount(labels[marks], minlength=3)
    assert (np.abs(counts - shares) < 1).all()


def test_arrays_are_read_only(image_set: data.ImageSet):
  with pytest.raises(ValueError, match="read-only"):
    image_set.train_images[0] = 0

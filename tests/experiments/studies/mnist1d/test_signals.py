"""The five steps, against closed forms, scipy and sklearn's own arrays."""

import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
import scipy.stats
from sklearn.datasets import load_digits

from experiments.studies.mnist1d import signals as made
from pseudovideo import data


class Draws:
  """Stands for a generator: hands out what it is given."""

  def __init__(self, uniform, integers, normals):
    self.uniform, self.drawn = np.asarray(uniform), list(integers)
    self.normals = np.random.default_rng(normals)

  def random(self, num):
    assert num == len(self.uniform)
    return self.uniform

  def integers(self, *bounds):
    value = self.drawn.pop(0)
    low, high = bounds if len(bounds) == 2 else (0, bounds[0])
    assert low <= value < high
    return value

  def standard_normal(self, num):
    return self.normals.standard_normal(num)


def test_a_template_is_the_ink_of_the_rows_of_its_digit():
  image_set = data.load("digits")
  found = made.templates(image_set)
  assert found.shape == (10, 12)
  np.testing.assert_allclose(found.mean(1), 0, atol=1e-12)
  np.testing.assert_allclose(found.std(1), 0.25)
  # Sevens, from their grey values: a line through 8 numbers, at 12 places.
  sevens = image_set.train_images[image_set.train_labels == 7] / (255 / 16)
  ink = sevens.round().sum((0, 2, 3)) / len(sevens)
  line = scipy.interpolate.interp1d(np.linspace(0, 1, 8), ink)
  expected = line(np.linspace(0, 1, 12))
  correlation = np.corrcoef(found[7], expected)[0, 1]
  assert correlation > 0.99999
  # All of sklearn's sevens, held-out ones too, have about the same shape.
  everything = load_digits()
  whole = everything.images[everything.target == 7].sum((0, 2))
  assert np.corrcoef(whole, ink)[0, 1] > 0.99


def test_scaled_and_skewed():
  x = np.sin(np.arange(12.0))
  np.testing.assert_allclose(made.scaled(x, 0.5), 1.2 * x)
  np.testing.assert_allclose(made.scaled(x, -0.5), 0.8 * x)
  skewed = made.skewed(x, 0.5)
  np.testing.assert_allclose([x[0] - skewed[0], x[-1] - skewed[-1]],
                             [-0.1875, 0.1875])  # fmt: skip
  np.testing.assert_allclose(np.diff(x - skewed), 0.375 / 11)
  assert skewed.mean() == pytest.approx(x.mean())


def test_padded_and_moved():
  x = made.padded(np.arange(1.0, 13), 5)
  assert x.tolist() == [*range(1, 13), 0, 0, 0, 0, 0]
  assert made.moved(x, 3).tolist() == [0, 0, 0, *range(1, 13), 0, 0]


def test_resampled_is_linear_interpolation_from_end_to_end():
  x = np.random.default_rng(0).normal(size=57)
  line = scipy.interpolate.interp1d(np.linspace(0, 1, 57), x)
  np.testing.assert_allclose(
    made.resampled(x, 72), line(np.linspace(0, 1, 72)), atol=1e-12
  )


def test_smooth_noise_is_filtered_white_noise_of_one_law():
  white = np.random.default_rng(3).standard_normal(80 + 16)
  found = made.smooth_noise(80, np.random.default_rng(3))
  filtered = scipy.ndimage.gaussian_filter1d(white, 2.0, truncate=4.0)
  np.testing.assert_allclose(found, filtered[8:-8], atol=1e-12)
  # The variance and neighbours' correlation of a sum of independent numbers.
  weights = np.exp(-np.square(np.arange(-8, 9)) / 8)
  weights /= weights.sum()
  rng = np.random.default_rng(4)
  rows = np.stack([made.smooth_noise(9, rng) for _ in range(20_000)])
  np.testing.assert_allclose(rows.var(0), (weights**2).sum(), rtol=0.05)
  np.testing.assert_allclose(
    (rows[:, 3] * rows[:, 4]).mean(),
    weights[1:] @ weights[:-1],
    rtol=0.05,
  )


def test_smooth_noise_is_in_the_padding_only_white_noise_everywhere():
  rng = np.random.default_rng(5)
  rows = np.stack(
    [made.noisy(np.full(60, 2.0), 12, rng) for _ in range(20_000)]
  )
  weights = np.exp(-np.square(np.arange(-8, 9)) / 8)
  smooth = 0.25**2 * np.square(weights / weights.sum()).sum()
  np.testing.assert_allclose(rows.mean(0), 2, atol=0.005)
  np.testing.assert_allclose(rows[:, :12].var(0), 0.02**2, rtol=0.05)
  np.testing.assert_allclose(rows[:, 12:].var(0), smooth + 0.02**2, rtol=0.05)
  _, p = scipy.stats.kstest(rows[:, 5], "norm", (2, 0.02))
  assert p > 1e-3


def test_a_signal_without_noise_is_its_stretched_and_moved_template(
  monkeypatch,
):
  monkeypatch.setattr(made, "WHITE_NOISE", 0.0)
  monkeypatch.setattr(made, "SMOOTH_NOISE", 0.0)
  template = np.cos(np.arange(12.0))
  # Heights times 1.2; no lean, no skew; 48 zeros; moved by 30 of 72 places.
  found = made.signal(template, Draws([1.0, 0.5, 0.5], [48, 30], 0))

  # In units of the padded signal's 60 places, without any of our functions.
  def by_hand(place):
    source = (round(place) - 30) % 72 * 59 / 71
    whole = [*(1.2 * template), *[0.0] * 48]
    low = int(source)
    high = min(low + 1, 59)
    return whole[low] + (source - low) * (whole[high] - whole[low])

  stretched = [by_hand(place) for place in range(72)]
  expected = scipy.interpolate.interp1d(range(72), stretched)(
    np.linspace(0, 71, 40)
  )
  np.testing.assert_allclose(found, expected, atol=1e-9)
  assert np.flatnonzero(np.abs(found) > 1e-9).min() >= 16


def test_a_set_is_balanced_and_each_signal_depends_on_its_place_only():
  small, large = made.make(30, 20, seed=1), made.make(40, 10, seed=1)
  assert small.train.shape == (30, 40)
  assert small.train.dtype == np.float32
  assert np.bincount(small.train_labels).tolist() == [3] * 10
  np.testing.assert_array_equal(
    np.concatenate([small.train, small.test]),
    np.concatenate([large.train, large.test]),
  )
  assert len(np.unique(small.train, axis=0)) == 30
  other = made.make(30, 20, seed=2)
  assert not np.isclose(small.train, other.train).all(1).any()


def test_images_of_signals():
  signals = made.make(200, 10).train
  assert np.abs(signals).max() < 1, "nothing is clipped"
  images = made.to_images(signals)
  assert images.shape == (200, 1, 40, 1)
  assert images.dtype == np.uint8
  # Levels are 2 / 255 apart.
  assert np.abs(made.from_images(images) - signals).max() <= 1 / 255 + 1e-6

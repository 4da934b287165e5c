"""Shares of errors and their standard errors."""

import numpy as np
import pytest

from pseudovideo.probe import gains


def jackknife(statistic, num):
  """The standard error of a statistic of a set of examples, leaving one out."""
  left = [statistic(np.delete(np.arange(num), i)) for i in range(num)]
  return np.sqrt((num - 1) * np.var(left))


@pytest.fixture
def errors():
  """Two frames: errors given the previous frame, and given more; 60 images."""
  rng = np.random.default_rng(0)
  previous = rng.gamma(3.0, size=(2, 1, 60))
  return [(p, 0.8 * p + 0.05 * rng.random(p.shape)) for p in previous]


def test_a_share_has_the_standard_error_of_the_jackknife(errors):
  def share(which):
    return np.mean(
      [1 - m[0, which].mean() / p[0, which].mean() for p, m in errors]
    )

  found = gains.saved(errors)
  assert found.value == pytest.approx(share(np.arange(60)), rel=1e-12)
  assert found.error == pytest.approx(jackknife(share, 60), rel=0.05)


def test_networks_that_differ_add_to_the_error(errors):
  one = gains.saved(errors)
  shifts = np.array([-0.03, 0.0, 0.03])[:, None]
  three = [(p + 0 * shifts, m + shifts * p.mean()) for p, m in errors]
  found = gains.saved(three)
  assert found.value == pytest.approx(one.value, abs=1e-12)
  assert found.error == pytest.approx(np.hypot(one.error, 0.03 / 3**0.5))
  mean = gains.mean(np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]))
  assert mean.value == 2.5
  assert mean.error == pytest.approx(np.hypot(1 / 3**0.5, 0.5))


def test_an_estimate_is_as_far_from_the_truth_as_its_error_says():
  rng = np.random.default_rng(1)
  away = []
  for _ in range(400):
    previous = rng.gamma(3.0, size=(1, 50))
    more = previous * rng.uniform(0.5, 0.9, size=(1, 50))
    found = gains.saved([(previous, more)])
    away.append((found.value - 0.3) / found.error)
  assert np.std(away) == pytest.approx(1, abs=0.12)


def test_videos_of_one_image_count_once():
  errors = np.array([[[1.0, 5.0, 3.0, 7.0, 2.0]]])
  found = gains.by_image(errors, np.array([0, 1, 0, 2, 1]))
  np.testing.assert_allclose(found, [[[2.0, 3.5, 7.0]]])

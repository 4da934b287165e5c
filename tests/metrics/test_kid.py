import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.metrics import kid


def _double_loop(first, second):
  def kernel(x, y):
    return (sum(x[d] * y[d] for d in range(len(x))) / len(x) + 1) ** 3

  def within(features):
    n = len(features)
    total = sum(
      kernel(features[i], features[j])
      for i in range(n)
      for j in range(n)
      if i != j
    )
    return total / (n * (n - 1))

  between = [kernel(x, y) for x in first for y in second]
  return within(first) + within(second) - 2 * np.mean(between)


def test_equals_a_direct_double_loop():
  rng = np.random.default_rng(0)
  first, second = rng.normal(size=(9, 5)), 0.3 + rng.normal(size=(14, 5))
  np.testing.assert_allclose(
    kid.squared_mmd(first, second), _double_loop(first, second), rtol=1e-10
  )


def test_identical_sets_score_below_zero():
  """The pairs of a vector with itself count between but not within."""
  features = np.random.default_rng(0).normal(size=(11, 4))
  found = kid.squared_mmd(features, features)
  assert found < 0
  np.testing.assert_allclose(found, _double_loop(features, features))


def test_float32_features_are_computed_in_float64():
  rng = np.random.default_rng(3)
  first, second = rng.normal(size=(2, 8, 6)).astype(np.float32)
  expected = _double_loop(first.astype(float), second.astype(float))
  found = kid.squared_mmd(first, second)
  np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_unbiased_at_any_sample_size():
  """Mean over many draws: 0 for equal distributions, also with 3 samples."""
  rng = np.random.default_rng(0)
  values = [
    kid.squared_mmd(rng.normal(size=(3, 4)), rng.normal(size=(5, 4)))
    for _ in range(4000)
  ]
  error = np.std(values) / np.sqrt(len(values))
  assert abs(np.mean(values)) < 4 * error
  assert np.min(values) < 0


def test_expectation_in_one_dimension():
  """x = 1, y = -1 with probability one: k = 8, 8 and 0."""
  ones = np.ones((6, 1))
  assert kid.squared_mmd(ones, -ones) == pytest.approx(16.0)


def test_subsets_of_everything_give_the_plain_estimate():
  rng = np.random.default_rng(0)
  first, second = rng.normal(size=(2, 12, 3))
  mean, std = kid.kid(first, second, subsets=5)
  assert mean == pytest.approx(kid.squared_mmd(first, second), rel=1e-12)
  assert std == pytest.approx(0.0, abs=1e-12)


def test_the_seed_decides_the_subsets():
  rng = np.random.default_rng(0)
  first, second = rng.normal(size=(50, 3)), rng.normal(size=(70, 3))
  draws = [
    kid.kid(first, second, subsets=10, subset_size=20, seed=seed)
    for seed in (0, 0, 1)
  ]
  assert draws[0] == draws[1] != draws[2]
  assert draws[0][1] > 0


def test_too_few_samples_and_unlike_features_are_sentences():
  with pytest.raises(errors.UserError, match="at least two samples"):
    kid.kid(np.zeros((1, 3)), np.zeros((9, 3)))
  with pytest.raises(errors.UserError, match="one D"):
    kid.kid(np.zeros((4, 2)), np.zeros((4, 3)))
  with pytest.raises(errors.UserError, match="NaN"):
    kid.kid(np.zeros((4, 2)), np.full((4, 2), np.nan))

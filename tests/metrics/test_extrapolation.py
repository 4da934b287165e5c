import numpy as np
import pytest
import scipy.stats

from pseudovideo import errors
from pseudovideo.metrics import (
  extrapolation,
  frechet,
  inception_score,
  statistics,
)

SEEDS = range(5)


def _known(mean, deviations):
  """Moments of a Gaussian whose mean and diagonal covariance are known."""
  moments = statistics.Moments(len(mean))
  moments.num, moments.mean = 1000, mean
  moments.scatter = 999 * np.diag(deviations**2)
  return moments


def _root_mean_square(values):
  return np.sqrt(np.mean(np.square(values)))


@pytest.mark.parametrize("stretch, shift", [(1.0, 0.0), (1.15, 0.02)])
def test_frechet_distance_of_known_gaussians(stretch, shift):
  """d^2 = |m1 - m2|^2 + |s1 - s2|^2 for diagonal covariances."""
  deviations = np.linspace(0.5, 2.0, 64)
  reference = _known(np.full(64, shift), stretch * deviations)
  true = 64 * shift**2 + (((stretch - 1) * deviations) ** 2).sum()
  plain, extrapolated = [], []
  for seed in SEEDS:
    rng = np.random.default_rng(seed)
    features = deviations * rng.normal(size=(4000, 64))
    found = extrapolation.frechet_at_infinity(features, reference)
    moments = statistics.moments_of(features)
    at_all = frechet.distance(*map(frechet.gaussian, (moments, reference)))
    # The last point is all samples, and the bias falls with their number.
    assert found.scores[-1] == pytest.approx(at_all, rel=1e-9)
    assert found.slope > 0
    plain.append(at_all - true)
    extrapolated.append(found.value - true)
  assert min(plain) > 0.2
  assert _root_mean_square(extrapolated) < _root_mean_square(plain) / 4


def test_inception_score_of_certain_predictions():
  """Classes drawn evenly have the score K; drawn ones are never so even."""
  plain, extrapolated = [], []
  for seed in SEEDS:
    classes = np.random.default_rng(seed).integers(0, 50, 3000)
    logits = 100 * np.eye(50)[classes]
    found = extrapolation.score_at_infinity(logits)
    at_all, _ = inception_score.inception_score(logits, splits=1)
    assert found.scores[-1] == pytest.approx(at_all, rel=1e-12)
    assert found.slope < 0
    plain.append(at_all - 50)
    extrapolated.append(found.value - 50)
  assert max(plain) < -0.2
  assert _root_mean_square(extrapolated) < _root_mean_square(plain) / 2


def test_a_line_is_recovered_exactly():
  counts = np.linspace(100, 1000, 15).astype(int)
  found = extrapolation.fit(counts, 3.5 + 420 / counts)
  assert found.value == pytest.approx(3.5, rel=1e-12)
  assert found.slope == pytest.approx(420, rel=1e-12)
  assert found.standard_error == pytest.approx(0.0, abs=1e-12)


def test_the_fit_and_its_error_equal_numpy_and_scipy():
  rng = np.random.default_rng(0)
  counts = np.linspace(100, 1000, 15).astype(int)
  scores = 3.5 + 420 / counts + 0.1 * rng.normal(size=15)
  found = extrapolation.fit(counts, scores)
  (slope, value), covariance = np.polyfit(1 / counts, scores, 1, cov=True)
  assert found.value == pytest.approx(value, rel=1e-10)
  assert found.slope == pytest.approx(slope, rel=1e-10)
  error = np.sqrt(covariance[1, 1])
  assert found.standard_error == pytest.approx(error, rel=1e-10)
  line = scipy.stats.linregress(1 / counts, scores)
  assert found.standard_error == pytest.approx(line.intercept_stderr, rel=1e-10)


def test_counts_are_even_and_the_seed_decides_the_subsets():
  logits = np.random.default_rng(0).normal(size=(1000, 4))
  first, again, other = (
    extrapolation.score_at_infinity(logits, points=4, seed=seed)
    for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(first.counts, [100, 400, 700, 1000])
  np.testing.assert_array_equal(first.scores, again.scores)
  assert (first.scores[:-1] != other.scores[:-1]).all()


def test_subsets_are_drawn_without_replacement():
  """All samples at the last point: of 60 classes once each, the score is 60."""
  found = extrapolation.score_at_infinity(1e3 * np.eye(60), points=6)
  np.testing.assert_allclose(found.scores, found.counts, rtol=1e-12)


def test_what_cannot_be_extrapolated_is_a_sentence():
  with pytest.raises(errors.UserError, match="149 samples"):
    extrapolation.score_at_infinity(np.zeros((149, 3)))
  with pytest.raises(errors.UserError, match="2 points"):
    extrapolation.score_at_infinity(np.zeros((149, 3)), points=2)
  reference = _known(np.zeros(3), np.ones(3))
  with pytest.raises(errors.UserError, match="10 samples per point"):
    extrapolation.frechet_at_infinity(np.zeros((40, 3)), reference)
  with pytest.raises(errors.UserError, match="NaN"):
    extrapolation.frechet_at_infinity(np.full((200, 3), np.nan), reference)
  with pytest.raises(ValueError, match="D = 4 and 3"):
    extrapolation.frechet_at_infinity(np.zeros((200, 4)), reference)

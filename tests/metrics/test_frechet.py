import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudovideo import errors
from pseudovideo.metrics import frechet, statistics


def _moments(num, dim, seed=0, scale=1.0):
  rng = np.random.default_rng(seed)
  mixing = scale * rng.normal(size=(dim, dim))
  return statistics.moments_of(rng.normal(size=(num, dim)) @ mixing + seed)


def _known(mean, covariance):
  """The moments of two vectors whose mean and covariance are these."""
  moments = statistics.Moments(len(mean))
  moments.num, moments.mean = 2, np.array(mean)
  moments.scatter = np.array(covariance)
  return moments


def distance(a, b):
  return frechet.distance(frechet.gaussian(a), frechet.gaussian(b))


def _by_sqrtm(a, b):
  """The textbook formula with scipy's general matrix square root."""
  root = scipy.linalg.sqrtm(a.covariance @ b.covariance)
  difference = a.mean - b.mean
  trace = np.trace(a.covariance + b.covariance - 2 * root.real)
  return difference @ difference + trace


def test_equals_scipy_where_that_is_sound():
  for dim in (2, 7, 30):
    a, b = _moments(200, dim, 0), _moments(300, dim, 1)
    np.testing.assert_allclose(distance(a, b), _by_sqrtm(a, b), rtol=1e-10)


def test_equal_covariances_leave_the_distance_of_the_means():
  a = _moments(50, 12)
  shift = np.linspace(-1, 2, 12)
  found = distance(a, _known(a.mean + shift, a.covariance))
  np.testing.assert_allclose(found, shift @ shift, rtol=1e-10)


def test_diagonal_gaussians_have_a_closed_form():
  rng = np.random.default_rng(0)
  m1, m2 = rng.normal(size=(2, 9))
  s1, s2 = rng.uniform(0.1, 2.0, size=(2, 9))
  expected = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
  found = distance(_known(m1, np.diag(s1**2)), _known(m2, np.diag(s2**2)))
  np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_commuting_covariances_have_a_closed_form():
  rng = np.random.default_rng(1)
  basis, _ = np.linalg.qr(rng.normal(size=(8, 8)))
  s1, s2 = rng.uniform(0.1, 2.0, size=(2, 8))
  found = distance(
    *(_known(np.zeros(8), basis @ np.diag(s**2) @ basis.T) for s in (s1, s2))
  )
  np.testing.assert_allclose(found, ((s1 - s2) ** 2).sum(), rtol=1e-10)


def test_one_dimension():
  a = statistics.moments_of(np.array([[0.0], [2.0]]))
  b = statistics.moments_of(np.array([[3.0], [3.0], [9.0]]))
  expected = (1.0 - 5.0) ** 2 + (np.sqrt(2.0) - np.sqrt(12.0)) ** 2
  np.testing.assert_allclose(distance(a, b), expected)


def test_fewer_samples_than_dimensions():
  """In orthogonal subspaces S1 S2 = 0, so nothing is subtracted."""
  rng = np.random.default_rng(0)
  first, second = np.zeros((2, 10, 40))
  first[:, :20] = rng.normal(size=(10, 20))
  second[:, 20:] = rng.normal(size=(10, 20))
  a, b = statistics.moments_of(first), statistics.moments_of(second)
  difference = a.mean - b.mean
  expected = difference @ difference + np.trace(a.covariance + b.covariance)
  np.testing.assert_allclose(distance(a, b), expected, rtol=1e-12)


def test_rank_deficient_equals_the_distance_inside_the_common_subspace():
  rng = np.random.default_rng(0)
  basis, _ = np.linalg.qr(rng.normal(size=(50, 5)))
  x, y = rng.normal(size=(20, 5)), 1 + rng.normal(size=(30, 5))
  inside = distance(statistics.moments_of(x), statistics.moments_of(y))
  embedded = distance(
    statistics.moments_of(x @ basis.T), statistics.moments_of(y @ basis.T)
  )
  np.testing.assert_allclose(embedded, inside, rtol=1e-9)


@pytest.mark.parametrize("sizes", [(8, 12), (20, 90), (2, 2)])
def test_rank_deficient_equals_the_small_gram_form(sizes):
  """tr (S1 S2)^(1/2) is the nuclear norm of X1 X2^T of the centred samples."""
  rng = np.random.default_rng(2)
  x, y = (rng.normal(size=(n, 40)) @ rng.normal(size=(40, 40)) for n in sizes)
  centred = [(s - s.mean(0)) / np.sqrt(len(s) - 1) for s in (x, y)]
  root = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
  difference = x.mean(0) - y.mean(0)
  squares = sum((c**2).sum() for c in centred)
  np.testing.assert_allclose(
    distance(statistics.moments_of(x), statistics.moments_of(y)),
    difference @ difference + squares - 2 * root,
    rtol=1e-10,
  )


@settings(max_examples=40, deadline=None)
@given(
  st.integers(2, 60), st.integers(1, 40), st.sampled_from([1e-6, 1.0, 1e3])
)
def test_a_set_has_distance_zero_from_itself(num, dim, scale):
  a = _moments(num, dim, 3, scale)
  tolerance = 1e-8 * max(1.0, np.trace(a.covariance))
  assert 0 <= distance(a, a) <= tolerance


def test_symmetric_and_finite_for_constant_features():
  a, b = _moments(6, 12, 0), statistics.moments_of(np.ones((4, 12)))
  there = distance(a, b)
  expected = ((a.mean - 1) ** 2).sum() + np.trace(a.covariance)
  np.testing.assert_allclose(there, expected, rtol=1e-12)
  np.testing.assert_allclose(distance(b, a), there)
  assert distance(b, b) == 0


def test_invariant_to_a_common_offset_of_1000():
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(2, 300, 10))
  distances = [
    distance(
      statistics.moments_of(x + offset), statistics.moments_of(y + offset)
    )
    for offset in (0.0, 1000.0)
  ]
  np.testing.assert_allclose(distances[1], distances[0], rtol=1e-9)


def test_float32_features_far_from_zero_in_small_batches():
  """float32 sums of x and x x^T would give a negative distance here."""
  rng = np.random.default_rng(0)
  sets = [1000 + rng.normal(scale=s, size=(2000, 48)) for s in (1.0, 1.2)]
  sets = [s.astype(np.float32) for s in sets]
  streamed = [statistics.Moments(48), statistics.Moments(48)]
  for moments, features in zip(streamed, sets, strict=True):
    for batch in np.split(features, 20):
      moments.update(batch)
  # Exact in float64, and without any offset left to cancel.
  centred = [s.astype(np.float64) - 1000 for s in sets]
  means = [s.mean(0) for s in centred]
  covs = [np.cov(s.T) for s in centred]
  expected = ((means[0] - means[1]) ** 2).sum() + np.trace(
    covs[0] + covs[1] - 2 * scipy.linalg.sqrtm(covs[0] @ covs[1]).real
  )
  np.testing.assert_allclose(distance(*streamed), expected, rtol=1e-9)


def test_what_is_not_finite_is_a_sentence():
  for mean, cov in [([np.nan], [[1.0]]), ([0.0], [[np.inf]])]:
    with pytest.raises(errors.UserError, match="NaN or infinite"):
      frechet.gaussian(_known(mean, cov))


def test_other_dimensions_are_refused():
  with pytest.raises(ValueError, match="D = 3 and 4"):
    distance(_moments(9, 3), _moments(9, 4))


def test_what_is_no_covariance_is_refused():
  with pytest.raises(ValueError, match="semidefinite"):
    frechet.gaussian(_known(np.zeros(3), np.diag([1.0, 1.0, -0.1])))
  with pytest.raises(ValueError, match="two vectors"):
    frechet.gaussian(statistics.Moments(3))

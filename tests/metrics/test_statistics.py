import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.metrics import statistics


def _features(num, dim, offset=0.0, seed=0):
  rng = np.random.default_rng(seed)
  return offset + rng.normal(size=(num, dim)) @ rng.normal(size=(dim, dim))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_streaming_equals_numpy_whatever_the_batches(offset):
  features = _features(500, 6, offset)
  moments = statistics.Moments(6)
  for batch in np.split(features, [1, 2, 130, 400]):
    moments.update(batch)
  assert moments.num == 500
  np.testing.assert_allclose(moments.mean, features.mean(0), rtol=1e-12)
  expected = np.cov(features.T)
  np.testing.assert_allclose(
    moments.covariance, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max()
  )


def test_more_features_than_one_block():
  features = _features(2 * statistics.BLOCK + 17, 3, 100.0)
  moments = statistics.moments_of(features)
  assert moments.num == len(features)
  np.testing.assert_allclose(moments.covariance, np.cov(features.T), rtol=1e-9)
  np.testing.assert_array_equal(moments.scatter, moments.scatter.T)


def test_float32_features_are_accumulated_in_float64():
  features = _features(4000, 2, 1000.0).astype(np.float32)
  moments = statistics.Moments(2)
  for batch in np.split(features, 40):
    moments.update(batch)
  np.testing.assert_allclose(
    moments.covariance, np.cov(features.T.astype(np.float64)), rtol=1e-9
  )


def test_a_nan_and_a_wrong_width_are_errors():
  moments = statistics.Moments(2)
  with pytest.raises(errors.UserError, match="NaN"):
    moments.update(np.array([[1.0, np.nan]]))
  with pytest.raises(ValueError, match="dimension 2"):
    moments.update(np.zeros((4, 3)))
  moments.update(np.zeros((0, 2)))
  moments.update(np.zeros((1, 2)))
  with pytest.raises(ValueError, match="two vectors"):
    _ = moments.covariance

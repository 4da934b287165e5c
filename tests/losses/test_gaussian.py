import jax
import numpy as np
from scipy import stats

from pseudovideo.losses import gaussian

RNG = np.random.default_rng(0)
X, MEAN, LOG_SIGMA = RNG.normal(size=(3, 2, 3, 4, 1)) * 0.7


def total(x):
  return x.reshape(2, -1).sum(axis=1)


def test_density_is_scipys():
  with jax.enable_x64(True):
    ours = gaussian.negative_log_density(X, MEAN, LOG_SIGMA)
    one_scale = gaussian.negative_log_density(X, MEAN, LOG_SIGMA[:, :1, :1, :1])
  theirs = -stats.norm.logpdf(X, MEAN, np.exp(LOG_SIGMA))
  np.testing.assert_allclose(ours, total(theirs), rtol=1e-12)
  theirs = -stats.norm.logpdf(X, MEAN, np.exp(LOG_SIGMA[:, :1, :1, :1]))
  np.testing.assert_allclose(one_scale, total(theirs), rtol=1e-12)


def test_entropy_is_scipys():
  with jax.enable_x64(True):
    ours = gaussian.entropy(LOG_SIGMA)
  theirs = stats.norm.entropy(0, np.exp(LOG_SIGMA))
  np.testing.assert_allclose(ours, total(theirs), rtol=1e-12)


def test_kl_is_the_integral():
  grid = np.linspace(-80, 80, 100_001)
  q = stats.norm.logpdf(grid, MEAN[..., None], np.exp(LOG_SIGMA)[..., None])
  p = stats.norm.logpdf(grid)
  integral = np.trapezoid(np.exp(q) * (q - p), grid, axis=-1)
  with jax.enable_x64(True):
    ours = gaussian.kl_to_standard(MEAN, LOG_SIGMA)
  np.testing.assert_allclose(ours, total(integral), rtol=1e-6)
  with jax.enable_x64(True):
    zero = gaussian.kl_to_standard(np.zeros((1, 3)), np.zeros((1, 3)))
  assert zero[0] == 0


def test_squared_error_sums_over_pixels():
  with jax.enable_x64(True):
    ours = gaussian.squared_error(X, MEAN)
  np.testing.assert_allclose(ours, total((X - MEAN) ** 2), rtol=1e-12)

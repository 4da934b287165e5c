import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from pseudovideo.losses import gaussian

RNG = np.random.default_rng(0)
jitted = functools.cache(jax.jit)
X, MEAN, LOG_SIGMA = RNG.normal(size=(3, 2, 3, 4, 1)) * 0.7


def total(x):
  return x.reshape(2, -1).sum(axis=1)


def test_density_is_scipys():
  with jax.enable_x64(True):
    ours = jitted(gaussian.negative_log_density)(X, MEAN, LOG_SIGMA)
    one_scale = jitted(gaussian.negative_log_density)(
      X, MEAN, LOG_SIGMA[:, :1, :1, :1]
    )
  theirs = -stats.norm.logpdf(X, MEAN, np.exp(LOG_SIGMA))
  np.testing.assert_allclose(ours, total(theirs), rtol=1e-12)
  theirs = -stats.norm.logpdf(X, MEAN, np.exp(LOG_SIGMA[:, :1, :1, :1]))
  np.testing.assert_allclose(one_scale, total(theirs), rtol=1e-12)


def test_entropy_is_scipys():
  with jax.enable_x64(True):
    ours = jitted(gaussian.entropy)(LOG_SIGMA)
  theirs = stats.norm.entropy(0, np.exp(LOG_SIGMA))
  np.testing.assert_allclose(ours, total(theirs), rtol=1e-12)


def test_kl_is_the_integral():
  grid = np.linspace(-80, 80, 100_001)
  q = stats.norm.logpdf(grid, MEAN[..., None], np.exp(LOG_SIGMA)[..., None])
  p = stats.norm.logpdf(grid)
  integral = np.trapezoid(np.exp(q) * (q - p), grid, axis=-1)
  with jax.enable_x64(True):
    ours = jitted(gaussian.kl_to_standard)(MEAN, LOG_SIGMA)
  np.testing.assert_allclose(ours, total(integral), rtol=1e-6)
  with jax.enable_x64(True):
    zero = jitted(gaussian.kl_to_standard)(np.zeros((1, 3)), np.zeros((1, 3)))
  assert zero[0] == 0


def test_squared_error_sums_over_pixels():
  with jax.enable_x64(True):
    ours = jitted(gaussian.squared_error)(X, MEAN)
  np.testing.assert_allclose(ours, total((X - MEAN) ** 2), rtol=1e-12)


def test_kl_of_two_gaussians_is_the_integral_and_elementwise():
  other_mean, other_log_sigma = RNG.normal(size=(2, 2, 3, 4, 1)) * 0.5
  grid = np.linspace(-80, 80, 100_001)
  q = stats.norm.logpdf(grid, MEAN[..., None], np.exp(LOG_SIGMA)[..., None])
  p = stats.norm.logpdf(
    grid, other_mean[..., None], np.exp(other_log_sigma)[..., None]
  )
  integral = np.trapezoid(np.exp(q) * (q - p), grid, axis=-1)
  zero = np.zeros_like(MEAN)
  with jax.enable_x64(True):
    ours = jitted(gaussian.kl)(
      MEAN, 2 * LOG_SIGMA, other_mean, 2 * other_log_sigma
    )
    itself = jitted(gaussian.kl)(MEAN, 2 * LOG_SIGMA, MEAN, 2 * LOG_SIGMA)
    standard = jitted(gaussian.kl)(MEAN, 2 * LOG_SIGMA, zero, zero)
    summed = jitted(gaussian.kl_to_standard)(MEAN, LOG_SIGMA)
  np.testing.assert_allclose(ours, integral, rtol=1e-6)
  np.testing.assert_array_equal(itself, 0)
  np.testing.assert_allclose(total(np.asarray(standard)), summed, rtol=1e-12)


VALUES = 2 * np.arange(256) / 255 - 1


def discretised(means, sigmas):
  """P of the 256 values, (cases, 256), for scalar means and sigmas."""
  rows = np.broadcast_to(VALUES, (len(means), 256))
  with jax.enable_x64(True):
    nll = jitted(gaussian.discretised_nll)(
      rows, np.reshape(means, (-1, 1)), np.log(np.reshape(sigmas, (-1, 1)))
    )
  return np.exp(-np.asarray(nll))


def test_probabilities_of_the_256_values_sum_to_one():
  means, sigmas = np.meshgrid([-1.5, -1, 0.1, 0.9999, 3], [0.003, 0.05, 1.0])
  p = discretised(means.ravel(), sigmas.ravel())
  # Each of the clamped bins may add 1e-12.
  np.testing.assert_allclose(p.sum(1), 1, atol=256e-12)


def test_probabilities_are_those_of_the_tanh_approximation():
  """Bin by bin in Python floats; within 3e-4 of the true normal's."""

  def cdf(x):
    return (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2

  for mean, sigma in [(-0.98, 0.02), (0.3, 0.2), (1.1, 0.5)]:
    p = discretised([mean], [sigma])[0]
    for i, value in enumerate(VALUES):
      high = 1.0 if i == 255 else cdf((value + 1 / 255 - mean) / sigma)
      low = 0.0 if i == 0 else cdf((value - 1 / 255 - mean) / sigma)
      assert abs(p[i] - max(high - low, 1e-12)) < 1e-12
    edges = stats.norm.cdf((VALUES[:-1] + 1 / 255 - mean) / sigma)
    true = np.diff(np.concatenate([[0], edges, [1]]))
    np.testing.assert_allclose(np.cumsum(p), np.cumsum(true), atol=3e-4)


def test_hopeless_predictions_have_a_finite_loss_and_gradient():
  x = jnp.float32([[-1.0, 0.0, 1.0]])

  @jax.jit
  def slopes(mean, log_sigma):
    return jax.value_and_grad(
      lambda *args: gaussian.discretised_nll(x, *args).sum(), (0, 1)
    )(mean, log_sigma)

  for mean in (-1e20, 1e20, 0.5):
    for log_sigma in (-40.0, 0.0, 40.0):
      arguments = np.full((1, 3), mean, "f"), np.full((1, 3), log_sigma, "f")
      value, gradients = slopes(*arguments)
      assert np.isfinite(value) and value <= 3 * 27.7
      assert np.isfinite(gradients).all()

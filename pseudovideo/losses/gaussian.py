"""Gaussian densities, entropies and divergences, in nats.

All sum over every axis but the first, one value per example; only `kl` and
`discretised_nll` are elementwise, for losses that do not count every frame.
"""

import math

import jax
import jax.numpy as jnp

_LOG_2PI = math.log(2 * math.pi)


def _sum(x: jax.Array) -> jax.Array:
  return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def squared_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
  """(B, ...), (B, ...) -> (B,): sum of squared differences."""
  return _sum(jnp.square(prediction - target))


def negative_log_density(
  x: jax.Array, mean: jax.Array, log_sigma: jax.Array
) -> jax.Array:
  """-log N(x | mean, sigma^2 I), (B,).

  Args:
    x: (B, ...).
    mean: (B, ...).
    log_sigma: log standard deviation, broadcastable to x with equal rank.
  """
  log_sigma = jnp.broadcast_to(log_sigma, x.shape)
  scaled = (x - mean) * jnp.exp(-log_sigma)
  return _sum(0.5 * jnp.square(scaled) + log_sigma + 0.5 * _LOG_2PI)


def entropy(log_sigma: jax.Array) -> jax.Array:
  """Entropy of N(., diag sigma^2), (B,); log_sigma is (B, ...)."""
  return _sum(log_sigma + 0.5 * (1 + _LOG_2PI))


def kl_to_standard(mean: jax.Array, log_sigma: jax.Array) -> jax.Array:
  """KL(N(mean, diag sigma^2) || N(0, I)), (B,); arguments are (B, ...)."""
  return _sum(0.5 * (jnp.square(mean) + jnp.exp(2 * log_sigma) - 1) - log_sigma)


def kl(
  mean: jax.Array,
  log_variance: jax.Array,
  other_mean: jax.Array,
  other_log_variance: jax.Array,
) -> jax.Array:
  """KL(N(mean, variance) || N(other_mean, other_variance)), elementwise.

  All of equal rank and broadcastable to one shape, that of the result.
  """
  difference = log_variance - other_log_variance
  squared = jnp.square(mean - other_mean) * jnp.exp(-other_log_variance)
  return 0.5 * (jnp.exp(difference) - 1 - difference + squared)


def discretised_nll(
  x: jax.Array, mean: jax.Array, log_sigma: jax.Array
) -> jax.Array:
  """-log P(x) of 8-bit values under a Gaussian, elementwise.

  P(x) is the mass of [x - 1/255, x + 1/255], for the values -1 and 1 of the
  half line beyond them too (Ho et al. 2020, Eq. 13), with the approximate
  distribution function of `_approximate_cdf` and P clamped at 1e-12, as in
  improved DDPM.

  Args:
    x: (B, ...) values 2 i / 255 - 1, i = 0 .. 255.
    mean: (B, ...).
    log_sigma: log standard deviation, broadcastable to x with equal rank.
  """
  inverse = jnp.exp(-log_sigma)
  upper = _approximate_cdf((x - mean + 1 / 255) * inverse)
  lower = _approximate_cdf((x - mean - 1 / 255) * inverse)
  probability = jnp.where(
    x < -0.999, upper, jnp.where(x > 0.999, 1 - lower, upper - lower)
  )
  return -jnp.log(jnp.maximum(probability, 1e-12))


def _approximate_cdf(x: jax.Array) -> jax.Array:
  """0.5 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
  # Beyond 20 the value is 0 or 1 to the last bit, and cubes could overflow.
  x = jnp.clip(x, -20, 20)
  return 0.5 * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

"""Gaussian densities, entropies and divergences, one value per example.

All sum over every axis but the first and are in nats.
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

"""Gaussian densities, entropies and divergences, in nats.

All sum over every axis but the first, one value per example; only `kl` and
`discretised_nll` are elementwise, for losses that do not count every frame.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

_LOG_2PI = math.log(2 * math.pi)


def _sum(x: Float[Array, "B ..."]) -> Float[Array, " B"]:
  return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def squared_error(
  prediction: Float[Array, " B *rest"], target: Float[Array, " B *rest"]
) -> Float[Array, " B"]:
  """The sum of squared differences."""
  return _sum(jnp.square(prediction - target))


def negative_log_density(
  x: Float[Array, " B *rest"],
  mean: Float[Array, " B *rest"],
  log_sigma: Float[Array, "#B *#rest"],
) -> Float[Array, " B"]:
  """The negative log density, -log N(x | mean, diag sigma^2).

  Args:
    x: where the density is taken.
    mean: mean of the Gaussian.
    log_sigma: log standard deviation, of equal rank.
  """
  log_sigma = jnp.broadcast_to(log_sigma, x.shape)
  scaled = (x - mean) * jnp.exp(-log_sigma)
  return _sum(0.5 * jnp.square(scaled) + log_sigma + 0.5 * _LOG_2PI)


def entropy(log_sigma: Float[Array, "B ..."]) -> Float[Array, " B"]:
  """The entropy of N(., diag sigma^2)."""
  return _sum(log_sigma + 0.5 * (1 + _LOG_2PI))


def kl_to_standard(
  mean: Float[Array, " B *rest"], log_sigma: Float[Array, " B *rest"]
) -> Float[Array, " B"]:
  """The divergence KL(N(mean, diag sigma^2) || N(0, I))."""
  return _sum(0.5 * (jnp.square(mean) + jnp.exp(2 * log_sigma) - 1) - log_sigma)


def kl(
  mean: Float[Array, "*#rest"],
  log_variance: Float[Array, "*#rest"],
  other_mean: Float[Array, "*#rest"],
  other_log_variance: Float[Array, "*#rest"],
) -> Float[Array, "*#rest"]:
  """The divergence KL(N(mean, variance) || N(other...)), elementwise.

  All are of equal rank and broadcastable to the shape of the result.
  """
  difference = log_variance - other_log_variance
  squared = jnp.square(mean - other_mean) * jnp.exp(-other_log_variance)
  return 0.5 * (jnp.exp(difference) - 1 - difference + squared)


def discretised_nll(
  x: Float[Array, " B *rest"],
  mean: Float[Array, "#B *#rest"],
  log_sigma: Float[Array, "#B *#rest"],
) -> Float[Array, " B *rest"]:
  """The cost -log P(x) of 8-bit values under a Gaussian, elementwise.

  P(x) is the mass of [x - 1/255, x + 1/255], for x = -1 and x = 1 also of the
  half line beyond (Ho et al. 2020, Eq. 13), with the approximate
  distribution function of `_approximate_cdf` and P clamped at 1e-12, as in
  improved DDPM.

  Args:
    x: values 2 i / 255 - 1, i = 0 .. 255.
    mean: mean of the Gaussian, of equal rank.
    log_sigma: log standard deviation, of equal rank.
  """
  inverse = jnp.exp(-log_sigma)
  upper = _approximate_cdf((x - mean + 1 / 255) * inverse)
  lower = _approximate_cdf((x - mean - 1 / 255) * inverse)
  probability = jnp.where(
    x < -0.999, upper, jnp.where(x > 0.999, 1 - lower, upper - lower)
  )
  return -jnp.log(jnp.maximum(probability, 1e-12))


def _approximate_cdf(x: Float[Array, "*rest"]) -> Float[Array, "*rest"]:
  """The value 0.5 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
  # Beyond 20 the value is 0 or 1 to the last bit, and cubes could overflow.
  x = jnp.clip(x, -20, 20)
  return 0.5 * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

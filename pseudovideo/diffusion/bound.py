"""The terms of the variational bound (Ho et al. 2020, Eq. 5), elementwise.

-log p(x0) <= L_prior + sum_k L_k. Terms are in bits and have the shape of x;
averages over dimensions, and over frames that count, are the caller's.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo.diffusion import chain as chains
from pseudovideo.losses import gaussian


def term(
  chain: chains.Chain,
  x0: jax.Array,
  x: jax.Array,
  k: jax.Array,
  eps: jax.Array,
  v: jax.Array | None = None,
  *,
  clip: bool = False,
) -> jax.Array:
  """L_k in bits.

  For k > 0 it is the divergence of the reverse step p(x_{k-1} | x_k) from the
  posterior q(x_{k-1} | x_k, x0); for k = 0 the negative log probability of the
  8-bit value x0.

  Args:
    chain: of K steps.
    x0: (B, ...) clean, in [-1, 1].
    x: (B, ...) x0 with the noise of step k.
    k: (B,) int32.
    eps: (B, ...) predicted noise.
    v: (B, ...) predicted variance, where it is learned.
    clip: whether the estimate of x0 is clamped to [-1, 1] first: not in
      training, usually in evaluation.

  Returns:
    (B, ...).
  """
  estimate = chain.x0_from_eps(x, eps, k)
  if clip:
    estimate = jnp.clip(estimate, -1, 1)
  mean = chain.posterior_mean(estimate, x, k)
  log_variance = chain.reverse_log_variance(k, x, v)
  divergence = gaussian.kl(
    chain.posterior_mean(x0, x, k),
    chain.posterior_log_variance(k, x),
    mean,
    log_variance,
  )
  decoder = gaussian.discretised_nll(x0, mean, 0.5 * log_variance)
  is_first = (k == 0).reshape(k.shape + (1,) * (x.ndim - 1))
  return jnp.where(is_first, decoder, divergence) / math.log(2)


def prior(chain: chains.Chain, x0: jax.Array) -> jax.Array:
  """Divergence of N(0, 1) from q(x_{K-1} | x0), in bits.

  Args:
    chain: of K steps.
    x0: (B, ...).

  Returns:
    (B, ...).
  """
  last = chain.alpha_bars[-1]
  mean = np.sqrt(last).astype(x0.dtype) * x0
  zero = jnp.zeros_like(x0)
  log_variance = jnp.full_like(x0, np.log1p(-last))
  return gaussian.kl(mean, log_variance, zero, zero) / math.log(2)

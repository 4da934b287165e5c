"""The terms of the variational bound (Ho et al. 2020, Eq. 5), elementwise.

-log p(x0) <= L_prior + sum_k L_k. Terms are in bits and have the shape of x;
the caller averages over dimensions, and over the frames that count.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pseudovideo.diffusion.chain import Chain
from pseudovideo.losses import gaussian


def term(
  chain: Chain,
  x0: Float[Array, " B *rest"],
  x: Float[Array, " B *rest"],
  k: Int[Array, " B"],
  eps: Float[Array, " B *rest"],
  v: Float[Array, " B *rest"] | None = None,
  *,
  clip: bool = False,
) -> Float[Array, " B *rest"]:
  """The term L_k in bits.

  For k > 0 it is the divergence of the reverse step p(x_{k-1} | x_k) from the
  posterior q(x_{k-1} | x_k, x0); for k = 0 the negative log probability of the
  8-bit value x0.

  Args:
    chain: chain of K steps.
    x0: clean, in [-1, 1].
    x: x0 with the noise of step k.
    k: step of each example.
    eps: predicted noise.
    v: predicted variance, where it is learned.
    clip: whether the estimate of x0 is clamped to [-1, 1] first: not in
      training, usually in evaluation.
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
  # (B, 1, .., 1).
  is_first = (k == 0).reshape(k.shape + (1,) * (x.ndim - 1))
  return jnp.where(is_first, decoder, divergence) / math.log(2)


def prior(
  chain: Chain, x0: Float[Array, " B *rest"]
) -> Float[Array, " B *rest"]:
  """The term L_prior in bits: how far q(x_{K-1} | x0) is from N(0, 1).

  Args:
    chain: chain of K steps.
    x0: clean, in [-1, 1].
  """
  last = chain.alpha_bars[-1]
  mean = np.sqrt(last).astype(x0.dtype) * x0
  zero = jnp.zeros_like(x0)
  log_variance = jnp.full_like(x0, np.log1p(-last))
  return gaussian.kl(mean, log_variance, zero, zero) / math.log(2)

"""Samplers of diffusion models: ancestral, DDIM and DPM-Solver++.

All walk a chain from its noisiest step to step 0 with one evaluation of the
network each. They differ in how x_{k-1} follows from x_k and the estimate of
x0; at step 0 each of them returns that estimate.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pseudovideo import errors, keys
from pseudovideo.diffusion.chain import Chain, Predict, at
from pseudovideo.shapes import AnyArray

# (x, x0, v, x0 of the step before, k) -> mean and standard deviation of
# x_{k-1}; None where there is no noise.
Update = Callable[
  ..., tuple[Float[Array, " B *rest"], Float[Array, "B ..."] | None]
]
Method = Literal["ancestral", "ddim", "dpm_solver"]


def sample(
  predict: Predict,
  start: Float[Array, " B *rest"],
  chain: Chain,
  *,
  key: keys.Keys,
  method: Method = "ancestral",
  eta: float = 0.0,
  clip: bool | Bool[AnyArray, "..."] = True,
) -> Float[Array, " B *rest"]:
  """Runs a chain backwards.

  Args:
    predict: the network; see `pseudovideo.diffusion`.
    start: standard normal noise.
    chain: chain of K steps, hence K evaluations of `predict`.
    key: scalar or (B,) keys; the noise of step k is drawn from
      `keys.numbered(key, k)`.
    method: `ancestral`, `ddim` or `dpm_solver`.
    eta: noise of `ddim`: 0 is deterministic, 1 has the posterior's variance.
    clip: which entries of the estimates of x0 are clamped to [-1, 1]: all,
      none, or a bool array broadcastable to x.

  Returns:
    Samples of x0.

  Raises:
    UserError: an eta that the method cannot have.
  """
  check_method(method, eta)
  update = METHODS[method](chain, eta)
  key = keys.example_keys(key, len(start))
  clip = jnp.broadcast_to(clip, start.shape)

  def step(carry, index):
    x, previous = carry
    k = jnp.full((len(x),), index, jnp.int32)
    eps, v = predict(x, chain.time(k))
    x0 = chain.x0_from_eps(x, eps, k)
    x0 = jnp.where(clip, jnp.clip(x0, -1, 1), x0)
    x, sigma = update(x, x0, v, previous, k)
    if sigma is not None:
      x += sigma * keys.normal(keys.numbered(key, index), x.shape)
    return (x, x0), None

  indices = jnp.arange(len(chain) - 1, -1, -1)
  (x, _), _ = jax.lax.scan(step, (start, jnp.zeros_like(start)), indices)
  return x


def check_method(method: Method, eta: float) -> None:
  """Raises `UserError` for an eta that the method does not take."""
  if eta != 0 and method != "ddim":
    raise errors.UserError(
      "sampler.eta is read by sampler.method 'ddim' only, and must be 0 "
      f"elsewhere; got {eta} with {method!r}."
    )


def _ancestral(chain: Chain, eta: float) -> Update:
  """Draws from p(x_{k-1} | x_k) (Ho et al. 2020, Algorithm 2)."""
  del eta

  def update(x, x0, v, previous, k):
    log_variance = chain.reverse_log_variance(k, x, v)
    noisy = at((np.arange(len(chain)) > 0).astype(float), k, x)
    return chain.posterior_mean(x0, x, k), noisy * jnp.exp(0.5 * log_variance)

  return update


def _ddim(chain: Chain, eta: float) -> Update:
  """The steps of Song et al. 2021, Eq. 12 and 16; eps from the clamped x0."""
  now, then = chain.alpha_bars, chain.alpha_bars_before
  sigma = eta * np.sqrt((1 - then) / (1 - now) * (1 - now / then))
  of_eps = np.sqrt(np.maximum(1 - then - sigma**2, 0))

  def update(x, x0, v, previous, k):
    eps = chain.eps_from_x0(x, x0, k)
    mean = at(np.sqrt(then), k, x) * x0 + at(of_eps, k, x) * eps
    return mean, at(sigma, k, x) if eta else None

  return update


def _dpm_solver(chain: Chain, eta: float) -> Update:
  """The solver DPM-Solver++ 2M, Algorithm 2 of Lu et al. 2022.

  With lambda_k = log(alpha_k / sigma_k), h_k = lambda_{k-1} - lambda_k and
  r_k = h_{k+1} / h_k,

    D_k     = x0_k + (x0_k - x0_{k+1}) / (2 r_k)
    x_{k-1} = sigma_{k-1} / sigma_k x_k - alpha_{k-1} (exp(-h_k) - 1) D_k.

  The first step has no x0_{k+1} and takes D_k = x0_k. So does the last step, to
  sigma_{k-1} = 0, where r = 0. The step before the last does so too, as in Lu
  et al. for few steps: on the usual schedules its h is several times the h of
  the step before, and extrapolating so far is worse than a first-order step.
  """
  del eta
  now, then = chain.alpha_bars, chain.alpha_bars_before
  of_x = np.sqrt((1 - then) / (1 - now))
  of_x0 = np.sqrt(then) - np.sqrt(now) * of_x
  half_log_snr = 0.5 * np.log(now / (1 - now))
  h = half_log_snr[:-1] - half_log_snr[1:]  # Of the steps 1 .. K - 1.
  slope = np.zeros(len(chain))
  slope[2:-1] = 0.5 * h[1:-1] / h[2:]

  def update(x, x0, v, previous, k):
    direction = x0 + at(slope, k, x) * (x0 - previous)
    return at(of_x, k, x) * x + at(of_x0, k, x) * direction, None

  return update


METHODS: dict[str, Callable[[Chain, float], Update]] = {
  "ancestral": _ancestral,
  "ddim": _ddim,
  "dpm_solver": _dpm_solver,
}

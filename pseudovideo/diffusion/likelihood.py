"""The variational bound of whole images, term by term."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pseudovideo import keys
from pseudovideo.diffusion import bound
from pseudovideo.diffusion import chain as chains


def bits_per_dim(
  predict: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array | None]],
  x0: jax.Array,
  chain: chains.Chain,
  key: jax.Array,
  *,
  clip: bool = True,
) -> dict[str, jax.Array]:
  """An upper bound of -log2 p(x0) per dimension, from one noise per step.

  Args:
    predict: takes x (B, ...) and time (B,), returns eps and v (or None).
    x0: (B, ...) 8-bit values scaled to [-1, 1].
    chain: of K steps.
    key: scalar or (B,) keys; that of step k is `keys.numbered(key, k)`.
    clip: whether estimates of x0 are clamped to [-1, 1], as improved DDPM does
      in evaluation.

  Returns:
    `total` and `prior`, (B,) bits per dimension with
    total = prior + terms.sum(1); `terms` (B, K), column k is L_k; `x0_mse` and
    `eps_mse` (B, K), mean squared errors of the (clamped) estimate of x0 and
    of the noise that it implies.
  """
  key = keys.example_keys(key, len(x0))

  def step(_, index):
    k = jnp.full((len(x0),), index, jnp.int32)
    noise = keys.normal(keys.numbered(key, index), x0.shape)
    x = chain.add_noise(x0, noise, k)
    eps, v = predict(x, chain.time(k))
    estimate = chain.x0_from_eps(x, eps, k)
    estimate = jnp.clip(estimate, -1, 1) if clip else estimate
    implied = chain.eps_from_x0(x, estimate, k) if clip else eps
    return None, {
      "terms": _mean(bound.term(chain, x0, x, k, eps, v, clip=clip)),
      "x0_mse": _mean(jnp.square(estimate - x0)),
      "eps_mse": _mean(jnp.square(implied - noise)),
    }

  _, columns = jax.lax.scan(step, None, jnp.arange(len(chain)))
  result = {name: column.T for name, column in columns.items()}
  result["prior"] = _mean(bound.prior(chain, x0))
  result["total"] = result["prior"] + result["terms"].sum(axis=1)
  return result


def _mean(x: jax.Array) -> jax.Array:
  return jnp.mean(x, axis=tuple(range(1, x.ndim)))

"""The variational bound of whole images, term by term."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pseudovideo import keys
from pseudovideo.diffusion import bound
from pseudovideo.diffusion.chain import Chain, Predict
from pseudovideo.shapes import mean_of_each


def bits_per_dim(
  predict: Predict,
  x0: Float[Array, "B ..."],
  chain: Chain,
  key: keys.Keys,
  *,
  clip: bool = True,
) -> dict[str, Float[Array, " B"] | Float[Array, "B K"]]:
  """An upper bound of -log2 p(x0) per dimension, from one noise per step.

  Args:
    predict: the network; see the package.
    x0: 8-bit values scaled to [-1, 1].
    chain: chain of K steps.
    key: scalar or (B,) keys; step k uses `keys.numbered(key, k)`.
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
      "terms": mean_of_each(bound.term(chain, x0, x, k, eps, v, clip=clip)),
      "x0_mse": mean_of_each(jnp.square(estimate - x0)),
      "eps_mse": mean_of_each(jnp.square(implied - noise)),
    }

  # Each of (K, B).
  _, columns = jax.lax.scan(step, None, jnp.arange(len(chain)))
  result = {name: column.T for name, column in columns.items()}
  result["prior"] = mean_of_each(bound.prior(chain, x0))
  result["total"] = result["prior"] + result["terms"].sum(axis=1)
  return result

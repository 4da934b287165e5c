"""What training minimises (Nichol & Dhariwal 2021, Sec. 3), elementwise."""

import jax
import jax.numpy as jnp

from pseudovideo.diffusion import bound
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import process as processes


def terms(
  process: processes.Process,
  chain: chains.Chain,
  *,
  x0: jax.Array,
  eps: jax.Array,
  x: jax.Array,
  k: jax.Array,
  prediction: jax.Array,
  v: jax.Array | None = None,
) -> dict[str, tuple[jax.Array, float]]:
  """The terms of `process.loss` and their coefficients.

    simple  |eps - prediction|^2
    hybrid  |eps - prediction|^2 + c L_k, where L_k trains only v, and c is
            K / 1000 (`rescale_learned_variance`) or 1
    vlb     K L_k, an unbiased estimate of the bound without its prior term

  With K = 1000, c = 1 equals the paper's 0.001 L_vlb.

  Args:
    process: names the loss.
    chain: that of `process`, of K steps.
    x0: (B, ...) clean.
    eps: (B, ...) noise.
    x: (B, ...) `chain.add_noise(x0, eps, k)`.
    k: (B,) int32.
    prediction: (B, ...) of eps.
    v: (B, ...) of a learned variance.

  Returns:
    `mse` and `bound` (in bits), those that the loss has: (B, ...) values and
    the coefficient of their mean.
  """
  if process.loss == "vlb":
    value = bound.term(chain, x0, x, k, prediction, v)
    return {"bound": (value, float(len(chain)))}
  result = {"mse": (jnp.square(eps - prediction), 1.0)}
  if process.loss == "hybrid":
    fixed = jax.lax.stop_gradient(prediction)
    scale = len(chain) / 1000 if process.rescale_learned_variance else 1.0
    result["bound"] = (bound.term(chain, x0, x, k, fixed, v), scale)
  return result

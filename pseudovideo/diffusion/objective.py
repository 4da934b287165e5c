"""The losses of training (Nichol & Dhariwal 2021, Sec. 3), elementwise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from pseudovideo.diffusion import bound
from pseudovideo.diffusion.chain import Chain
from pseudovideo.diffusion.process import Process


def terms(
  process: Process,
  chain: Chain,
  *,
  x0: Float[Array, " B *rest"],
  eps: Float[Array, " B *rest"],
  x: Float[Array, " B *rest"],
  k: Int[Array, " B"],
  prediction: Float[Array, " B *rest"],
  v: Float[Array, " B *rest"] | None = None,
) -> dict[str, tuple[Float[Array, " B *rest"], float]]:
  """The terms of `process.loss` and their coefficients.

    simple  |eps - prediction|^2 (Ho et al. 2020, Eq. 14)
    hybrid  |eps - prediction|^2 + c L_k, where L_k trains only v, and c is
            K / 1000 (`rescale_learned_variance`) or 1 (Eq. 16)
    vlb     K L_k, an unbiased estimate of the bound without its prior term

  With K = 1000, c = 1 equals the paper's 0.001 L_vlb.

  Args:
    process: names the loss.
    chain: chain of `process`, of K steps.
    x0: clean examples.
    eps: noise.
    x: `chain.add_noise(x0, eps, k)`.
    k: step of each example.
    prediction: eps as the network predicts it.
    v: variance as the network predicts it, where it is learned.

  Returns:
    `mse` and `bound` (in bits), as far as the loss has them: for each its
    values and the coefficient of their mean.
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

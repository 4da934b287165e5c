"""The result of a quantizer, its gradient, and measures of a codebook."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer


class Quantized(NamedTuple):
  """The result of `quantize`.

  Attributes:
    values: (B, ..., D) float32, the codes, for the decoder. Their gradient goes
      to the input as if nothing had been rounded ("straight-through").
    ids: (B, ...) int32 in 0 .. K-1.
    commitment: (B,), the mean squared difference of the input and its code,
      whose gradient moves the input only (van den Oord et al. 2017, Eq. 3, the
      last term). Not weighted.
    entropy: (B,) for the look-up-free quantizer, see `lfq.LookupFree`; else
      None.
  """

  values: Float[Array, "B *N D"]
  ids: Integer[Array, " B *N"]
  commitment: Float[Array, " B"]
  entropy: Float[Array, " B"] | None = None


def straight_through(
  value: Float[Array, "*S"], carrier: Float[Array, "*S"]
) -> Float[Array, "*S"]:
  """Returns `value`, bit for bit, with the gradient of `carrier`.

  This is the straight-through estimator (van den Oord et al. 2017, Sec. 3.2).
  The usual carrier + stop_gradient(value - carrier) is off by a rounding error.
  """
  return jax.lax.stop_gradient(value) + (
    carrier - jax.lax.stop_gradient(carrier)
  )


def mean_squared_error(
  x: Float[Array, " B *S"], target: Float[Array, " B *S"]
) -> Float[Array, " B"]:
  """The mean for each example, (B,); no gradient to `target`."""
  square = jnp.square(x - jax.lax.stop_gradient(target))
  return jnp.mean(square, axis=tuple(range(1, x.ndim)))


def usage(
  ids: Integer[Array, "..."], codes: int
) -> dict[str, Float[Array, ""]]:
  """Measures how much of the codebook a batch uses.

  Args:
    ids: any shape, integers in 0 .. codes - 1.
    codes: K.

  Returns:
    Float32 scalars: `codes_used`, how many codes occur, and `perplexity`,
    exp(entropy in nats) of their frequencies, from 1 to K.
  """
  flat = ids.reshape(-1)
  counts = jax.ops.segment_sum(jnp.ones_like(flat), flat, codes)
  frequency = counts.astype(jnp.float32) / flat.size
  entropy = -jnp.sum(jax.scipy.special.xlogy(frequency, frequency))
  return {
    "codes_used": jnp.sum(counts > 0).astype(jnp.float32),
    "perplexity": jnp.exp(entropy),
  }

"""What the quantizers share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Quantized(NamedTuple):
  """What `quantize` returns.

  Attributes:
    values: (B, ..., D) float32, the codes, for the decoder. Their gradient goes
      to the input as if nothing had been rounded ("straight-through").
    ids: (B, ...) int32 in 0 .. K-1.
    commitment: (B,), the mean squared difference of the input and its code,
      whose gradient moves the input only. Not weighted.
    entropy: (B,) of the look-up-free quantizer, else None; see there.
  """

  values: jax.Array
  ids: jax.Array
  commitment: jax.Array
  entropy: jax.Array | None = None


def straight_through(value: jax.Array, carrier: jax.Array) -> jax.Array:
  """`value`, bit for bit, with the gradient of `carrier` (van den Oord 2017).

  The usual carrier + stop_gradient(value - carrier) is off by a rounding.
  """
  return jax.lax.stop_gradient(value) + (
    carrier - jax.lax.stop_gradient(carrier)
  )


def mean_squared_error(x: jax.Array, target: jax.Array) -> jax.Array:
  """(B, ...), (B, ...) -> (B,), a mean; no gradient to `target`."""
  square = jnp.square(x - jax.lax.stop_gradient(target))
  return jnp.mean(square, axis=tuple(range(1, x.ndim)))


def usage(ids: jax.Array, codes: int) -> dict[str, jax.Array]:
  """How much of the codebook a batch uses.

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

"""Look-up-free quantization (Yu et al. 2023, MAGVIT-v2).

A code is a vector of log2(K) signs between two linear maps; nothing is looked
up. Instead of restarts there is an entropy term: the code of every vector
should be certain, and the batch should use all codes.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key

from pseudovideo import errors
from pseudovideo.fields import Codes, NotNegative, Positive, Width
from pseudovideo.models.quantizers import common


@dataclasses.dataclass(frozen=True)
class LookupFree:
  """Linear(D -> log2 K), signs, Linear(log2 K -> D).

  An id has one bit per sign, the first sign being the most significant; 0 and
  negative numbers have the sign -1. The commitment compares the signs with the
  numbers before rounding. The state is empty.

  `entropy` (B,) is the mean over the example's vectors z of H[p(code | z)],
  minus `diversity` times H of the mean of p over all vectors of the batch, in
  nats. p(code | z) is the softmax of 2 `inverse_temperature` z . code.
  Averaged over examples it is the loss of the batch. vector-quantize-pytorch
  weights it with 0.1, and the commitment with 0.25 (1.11.8) or 0 (1.32.0). In
  its logarithms it replaces probabilities below 1e-5 by 1e-5; here they are
  exact.

  Attributes:
    codes: K, a power of two.
    width: D.
    inverse_temperature: factor of the logits in the entropy term.
    diversity: weight of the batch's entropy.
  """

  codes: Codes = 1024
  width: Width = 512
  inverse_temperature: Positive = 100.0
  diversity: NotNegative = 1.0

  @property
  def bits(self) -> int:
    """log2(K)."""
    return self.codes.bit_length() - 1

  def __post_init__(self):
    if self.codes != 2**self.bits:
      raise errors.UserError(
        "quantizer.codes of a look-up-free quantizer must be a power of two, "
        f"because a code is a row of signs; got {self.codes}."
      )

  def init(self, key: Key[Array, ""]) -> tuple[dict[str, Any], dict[str, Any]]:
    """See `Quantizer.init`; linear maps as PyTorch makes them."""
    key_in, key_out = jax.random.split(key)
    params = {
      "project_in": _linear_init(key_in, self.width, self.bits),
      "project_out": _linear_init(key_out, self.bits, self.width),
    }
    return params, {}

  def quantize(
    self, params: Any, state: Any, z: Float[Array, "B *N D"]
  ) -> common.Quantized:
    """See `Quantizer.quantize`."""
    del state
    x = _linear(params["project_in"], z.astype(jnp.float32))
    ids = jnp.sum((x > 0) * self._place_values(x.ndim), axis=-1)
    signs = self._signs(ids)  # (B, ..., log2 K)
    return common.Quantized(
      values=_linear(params["project_out"], common.straight_through(signs, x)),
      ids=ids,
      commitment=common.mean_squared_error(x, signs),
      entropy=self._entropy(x),
    )

  def update(
    self,
    state: Any,
    z: Float[Array, "B *N D"],
    ids: Integer[Array, " B *N"],
    key: Key[Array, "..."],
  ) -> Any:
    """See `Quantizer.update`; there is nothing to update."""
    del z, ids, key
    return state

  def lookup(
    self, params: Any, state: Any, ids: Integer[Array, " B *N"]
  ) -> Float[Array, "B *N D"]:
    """See `Quantizer.lookup`."""
    del state
    return _linear(params["project_out"], self._signs(ids))

  def _place_values(self, ndim: int) -> jax.Array:
    """The powers of two of an id's bits, int32 (1, ..., log2 K)."""
    values = 2 ** jnp.arange(self.bits - 1, -1, -1, dtype=jnp.int32)
    return values.reshape((1,) * (ndim - 1) + (self.bits,))

  def _signs(self, ids: jax.Array) -> jax.Array:
    """(...) -> (..., log2 K) of -1 and 1."""
    bits = ids[..., None] & self._place_values(ids.ndim + 1)
    return jnp.where(bits > 0, 1.0, -1.0)

  def _entropy(self, x: jax.Array) -> jax.Array:
    """(B, ..., log2 K) before rounding -> (B,)."""
    # The softmax over all rows of signs is a product of one sigmoid per bit.
    logits = 4 * self.inverse_temperature * x
    sure = jnp.sum(_bit_entropy(logits), axis=-1)
    per_example = jnp.mean(sure.reshape(x.shape[0], -1), axis=1)  # (B,)
    mean = _mean_probabilities(logits.reshape(-1, self.bits))  # (K,)
    # Zero where no vector comes near a code; its logarithm must be finite.
    used = -jnp.sum(mean * jnp.log(jnp.maximum(mean, 1e-20)))
    return per_example - self.diversity * used


def _bit_entropy(logits: jax.Array) -> jax.Array:
  """Entropy in nats of a bit with these logits, elementwise."""
  size = jnp.abs(logits)
  return jax.nn.softplus(-size) + size * jax.nn.sigmoid(-size)


def _mean_probabilities(logits: jax.Array) -> jax.Array:
  """(N, bits) -> (2^bits,): mean over rows of the probabilities of all codes.

  Computed for half of the bits each, then by one product of matrices: the (N,
  2^bits) probabilities are never held.
  """
  half = logits.shape[1] // 2
  first, second = _joint(logits[:, :half]), _joint(logits[:, half:])
  # (2^half, 2^(bits - half)), rows for the more significant bits.
  both = jnp.matmul(first.T, second, precision="highest")
  return both.reshape(-1) / logits.shape[0]


def _joint(logits: jax.Array) -> jax.Array:
  """(N, n) -> (N, 2^n), probabilities of the values of n independent bits."""
  rows = logits.shape[0]
  joint = jnp.ones((rows, 1))
  for logit in logits.T:
    bit = jax.nn.sigmoid(jnp.stack([-logit, logit], axis=1))  # (N, 2)
    joint = (joint[:, :, None] * bit[:, None, :]).reshape(rows, -1)
  return joint


def _linear_init(key: jax.Array, inputs: int, outputs: int) -> dict[str, Any]:
  """Kernel and bias uniform on +-1/sqrt(inputs)."""
  kernel, bias = jax.random.split(key)
  bound = 1 / math.sqrt(inputs)
  return {
    "kernel": jax.random.uniform(
      kernel, (inputs, outputs), minval=-bound, maxval=bound
    ),
    "bias": jax.random.uniform(bias, (outputs,), minval=-bound, maxval=bound),
  }


def _linear(weights: dict[str, Any], x: jax.Array) -> jax.Array:
  """A linear layer; signs must not depend on the rounding of a fast product."""
  product = jnp.matmul(x, weights["kernel"], precision="highest")
  bias = weights["bias"]
  return product + bias.reshape((1,) * (x.ndim - 1) + bias.shape)

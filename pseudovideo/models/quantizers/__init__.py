"""Vector quantizers, which replace each vector by one of K codes.

A quantizer is a frozen dataclass of numbers. The weights live outside:

  params, state = quantizer.init(key)
  quantized = quantizer.quantize(params, state, z)       (B, ..., D)
  state = quantizer.update(state, z, quantized.ids, key)
  vectors = quantizer.lookup(params, state, ids)         (B, ...) -> (..., D)

`params` are optimised by gradient, `state` (the codebook and its moving
averages) is saved but not optimised. Everything is pure and sees the whole
batch, so that under `jax.jit` with a sharded batch no sum needs an axis name.

Two settings of the codebooks:

  field           recommended   as published
  decay           0.99          0.8
  restart_below   2.0           0.0 (never)

Both start from random codes, without k-means. "As published" means the settings
of vector-quantize-pytorch inside phenaki-pytorch; few codes are used then.

To add one: write such a class and name it in `TABLE`.
"""

from typing import Any, Protocol

from jaxtyping import Array, Float, Integer, Key

from pseudovideo.models.quantizers import common, lfq, vq


class Quantizer(Protocol):
  """The interface of every entry of `TABLE`.

  Attributes:
    codes: K.
    width: D.
  """

  codes: int
  width: int

  def init(self, key: Key[Array, ""]) -> tuple[Any, Any]:
    """Scalar key -> (params, state)."""

  def quantize(
    self, params: Any, state: Any, z: Float[Array, "B *N D"]
  ) -> common.Quantized:
    """(B, ..., D) floats -> their codes; arithmetic in float32."""

  def update(
    self,
    state: Any,
    z: Float[Array, "B *N D"],
    ids: Integer[Array, " B *N"],
    key: Key[Array, "..."],
  ) -> Any:
    """Computes the state after a training batch; no gradient passes.

    Args:
      state: the state given to `quantize`.
      z: (B, ..., D), the vectors given to `quantize`.
      ids: (B, ...) int32, the result of `quantize`.
      key: PRNG key, scalar or (B,).
    """

  def lookup(
    self, params: Any, state: Any, ids: Integer[Array, " B *N"]
  ) -> Float[Array, "B *N D"]:
    """The `values` that `quantize` had for `ids`: (B, ...) -> (B, ..., D).

    They are equal only up to rounding where a linear map computes them from the
    code.
    """


TABLE = {
  "cosine": vq.Cosine,
  "euclidean": vq.Euclidean,
  "lookup_free": lfq.LookupFree,
}

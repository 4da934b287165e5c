"""Codebooks that follow their vectors by moving averages.

Van den Oord et al. 2017, Appendix A.1: code k is the average of the vectors
that chose it, m_k / n_k, where

  n_k <- decay n_k + (1 - decay) #{i : id_i = k}
  m_k <- decay m_k + (1 - decay) sum_{i : id_i = k} z_i

and n is smoothed as (n + eps) / (sum n + K eps) sum n. The names of fields and
"as published" refer to vector-quantize-pytorch 1.11.8. Differences from it:

- Counts start at 1, so that m = n c holds at once. In that package they start
  at 0 while m starts at the codes, and unused Euclidean codes grow a
  thousandfold.
- A code that no vector of the batch chose stays where it is, bit for bit.
  In that package it is recomputed from two vanishing numbers: after about 180
  unused updates with decay 0.8 a cosine code is no longer a unit vector.
- Gradients pass straight through, never by the rotation trick.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key

from pseudovideo import keys
from pseudovideo.fields import Codes, NotNegative, Positive, Share, Width
from pseudovideo.models.quantizers import common

State = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Codebook:
  """The part that both distances share; not itself a quantizer.

  The state: `codebook` (K, D), `counts` n (K,) and `sums` m (K, D).

  Attributes:
    codes: K.
    width: D.
    decay: decay of the moving averages, in [0, 1).
    eps: the eps of the smoothed counts.
    restart_below: a code whose count n_k falls below this number is replaced by
      a random vector of the batch, with this number as its count; 0 switches it
      off. A code has on average (vectors of a batch) / K vectors: with
      `restart_below` near or above that number, codes in use are replaced too.
  """

  codes: Codes = 1024
  width: Width = 512
  decay: Share = 0.99
  eps: Positive = 1e-5
  restart_below: NotNegative = 2.0

  def init(self, key: Key[Array, ""]) -> tuple[dict[str, Any], State]:
    """See `Quantizer.init`; there are no params.

    Codes are uniform on +-sqrt(6 / (K D)), which is PyTorch's Kaiming bound for
    a codebook of shape (1, K, D): norms are near sqrt(2 / K).
    """
    bound = math.sqrt(6 / (self.codes * self.width))
    codebook = self._normalised(
      jax.random.uniform(
        key, (self.codes, self.width), minval=-bound, maxval=bound
      )
    )
    return {}, {
      "codebook": codebook,
      "counts": jnp.ones((self.codes,)),
      # A copy, so that a donated state does not hold one buffer twice.
      "sums": jnp.array(codebook),
    }

  def quantize(
    self, params: Any, state: State, z: Float[Array, "B *N D"]
  ) -> common.Quantized:
    """See `Quantizer.quantize`; of equally near codes the first is chosen."""
    x = self._normalised(z.astype(jnp.float32))
    flat = jax.lax.stop_gradient(x.reshape(-1, self.width))  # (N, D)
    nearest = jnp.argmax(self._nearness(flat, state["codebook"]), axis=-1)
    ids = nearest.astype(jnp.int32).reshape(z.shape[:-1])
    codes = self.lookup(params, state, ids)
    return common.Quantized(
      values=common.straight_through(codes, x),
      ids=ids,
      commitment=common.mean_squared_error(x, codes),
    )

  def update(
    self,
    state: State,
    z: Float[Array, "B *N D"],
    ids: Integer[Array, " B *N"],
    key: Key[Array, "..."],
  ) -> State:
    """See `Quantizer.update`: moving averages, then restarts."""
    x = jax.lax.stop_gradient(self._normalised(z.astype(jnp.float32)))
    # All vectors of the batch: (N, D) and (N,).
    state = self._average(state, x.reshape(-1, self.width), ids.reshape(-1))
    if self.restart_below == 0:
      return state
    return self._restart(state, _shuffled(x, self.codes, key))

  def lookup(
    self, params: Any, state: State, ids: Integer[Array, " B *N"]
  ) -> Float[Array, "B *N D"]:
    """See `Quantizer.lookup`."""
    del params
    return state["codebook"][ids]

  def _normalised(self, x: jax.Array) -> jax.Array:
    """Moves (..., D) to where vectors and codes live, of the same shape."""
    raise NotImplementedError

  def _nearness(self, x: jax.Array, codebook: jax.Array) -> jax.Array:
    """(N, D), (K, D) -> (N, K), largest for the nearest code."""
    raise NotImplementedError

  def _average(self, state: State, x: jax.Array, ids: jax.Array) -> State:
    """One step of the averages with vectors (N, D) of ids (N,)."""
    # On CPU sums by id are a hundred times cheaper than products with one-hot
    # vectors. A GPU adds in any order, unless XLA is told to be deterministic.
    seen = jax.ops.segment_sum(jnp.ones(ids.shape), ids, self.codes)
    total = jax.ops.segment_sum(x, ids, self.codes)
    counts = self.decay * state["counts"] + (1 - self.decay) * seen
    sums = self.decay * state["sums"] + (1 - self.decay) * total
    whole = jnp.sum(counts)
    smoothed = (counts + self.eps) / (whole + self.codes * self.eps) * whole
    moved = self._normalised(sums / smoothed[:, None])
    codebook = jnp.where((seen > 0)[:, None], moved, state["codebook"])
    return {"codebook": codebook, "counts": counts, "sums": sums}

  def _restart(self, state: State, fresh: jax.Array) -> State:
    """Replaces codes with small counts by their row of `fresh` (K, D)."""
    dead = state["counts"] < self.restart_below
    below, row = self.restart_below, dead[:, None]
    return {
      "codebook": jnp.where(row, fresh, state["codebook"]),
      "counts": jnp.where(dead, below, state["counts"]),
      "sums": jnp.where(row, below * fresh, state["sums"]),
    }


class Cosine(Codebook):
  """The code of the largest cosine, among unit vectors; used in C-ViViT.

  Inputs are divided by their norms (at least 1e-12), through which the gradient
  passes; `values`, codes and commitment are about unit vectors.
  """

  def _normalised(self, x):
    square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, 1e-24))

  def _nearness(self, x, codebook):
    return jnp.matmul(x, codebook.T, precision="highest")


class Euclidean(Codebook):
  """The nearest code, as in VQ-VAE (van den Oord et al. 2017, Eq. 1, 2)."""

  def _normalised(self, x):
    return x

  def _nearness(self, x, codebook):
    # -|x - c|^2 / 2 without |x|^2 / 2, which all codes have in common.
    products = jnp.matmul(x, codebook.T, precision="highest")
    return products - 0.5 * jnp.sum(jnp.square(codebook), axis=-1)[None]


def _shuffled(x: jax.Array, num: int, key: jax.Array) -> jax.Array:
  """`num` random vectors of x (B, ..., D), distinct while there are enough.

  They are all vectors in a random order, repeated as often as needed. The place
  of vector j of example i follows from a number that depends on (key i, j)
  only.
  """
  order = jnp.argsort(keys.uniform(key, x.shape[:-1]).reshape(-1))
  chosen = order[jnp.arange(num) % order.size]
  return x.reshape(-1, x.shape[-1])[chosen]

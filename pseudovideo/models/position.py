"""Three position encodings of transformers.

AliBi (Press et al. 2022) lets attention decay with distance in time. The
continuous position bias (Swin V2, Liu et al. 2022, Sec. 3.3) is a small network
of the offset between two tokens. PEG, a position encoding generator (Chu et al.
2021), is a depthwise convolution that sees the zero padding at the borders.
"""

import itertools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo.models import layers


def alibi_slopes(heads: int) -> Float[np.ndarray, " {heads}"]:
  """(heads,) float32: 2^(-8 / heads), its square, ..., 1/256."""
  return np.exp2(-8 * np.arange(1, heads + 1) / heads).astype(np.float32)


def causal_alibi(
  heads: int, length: int
) -> Float[np.ndarray, "{heads} {length} {length}"]:
  """The bias -slope (i - j) for keys j <= i, -inf for later keys.

  Returns:
    (heads, length, length) float32; [:, i, j] for query i and key j.
  """
  index = np.arange(length)
  distance = index[:, None] - index[None, :]
  bias = -alibi_slopes(heads)[:, None, None] * distance[None]
  return np.where(distance[None] >= 0, bias, -np.inf).astype(np.float32)


def log_offsets(grid: Sequence[int]) -> Float[np.ndarray, "*O {len(grid)}"]:
  """The features sign(d) log(1 + |d|) of the offsets d in a grid.

  Args:
    grid: n_1, ..., n_a; the offsets along axis i are 1 - n_i ... n_i - 1.

  Returns:
    (2 n_1 - 1, ..., 2 n_a - 1, a) float32.
  """
  axes = [np.arange(1 - n, n) for n in grid]
  offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
  return (np.sign(offsets) * np.log1p(np.abs(offsets))).astype(np.float32)


def spread_offsets(
  table: Float[Array, "*O F"], grid: Sequence[int]
) -> Float[Array, "F N N"]:
  """Turns one entry per offset into one per pair of places.

  It works one axis at a time, by products with zeros and ones, so that the
  gradient is a product too and not a scatter, which is slow or not
  reproducible.

  Args:
    table: (2 n_1 - 1, ..., 2 n_a - 1, F).
    grid: n_1, ..., n_a; N is their product.

  Returns:
    (F, N, N); [:, i, j] is the entry of offset i - j, places in row-major
    order.
  """
  for n in grid:
    index = np.arange(n)
    offset = index[:, None] - index[None, :] + n - 1
    chosen = jnp.asarray(offset[..., None] == np.arange(2 * n - 1), table.dtype)
    # The next axis of offsets is always the first; its pairs go to the end.
    table = jnp.einsum("o...,ijo->...ij", table, chosen, precision="highest")
  # (F, n_1, n_1, ..., n_a, n_a) -> (F, n_1, ..., n_a, n_1, ..., n_a)
  a = len(grid)
  order = (0, *range(1, 2 * a + 1, 2), *range(2, 2 * a + 1, 2))
  size = math.prod(grid)
  return table.transpose(order).reshape(-1, size, size)


class ContinuousPositionBias(nn.Module):
  """A bias of attention for each head, from the offset of two tokens.

  Log offset -> linear, LeakyReLU(0.1), linear, LeakyReLU(0.1), linear to heads.
  The network runs on the distinct offsets only: (2h - 1)(2w - 1) instead of
  (h w)^2. It is always computed in float32.

  Attributes:
    heads: number of heads.
    hidden: width of the two hidden layers.
  """

  heads: int
  hidden: int

  @nn.compact
  def __call__(self, grid: Sequence[int]) -> Float[Array, "{self.heads} N N"]:
    """Sides of the grid, row-major, any number of axes -> (heads, N, N)."""

    def dense(features, in_features, name):
      return layers.dense(features, in_features, name=name, dtype=jnp.float32)

    h = dense(self.hidden, len(grid), "in")(jnp.asarray(log_offsets(grid)))
    h = dense(self.hidden, self.hidden, "hidden")(nn.leaky_relu(h, 0.1))
    h = dense(self.heads, self.hidden, "out")(nn.leaky_relu(h, 0.1))
    return spread_offsets(h, grid)


def _peg_init(key, shape, dtype=jnp.float32):
  bound = 27**-0.5  # a channel's fan-in is 3 x 3 x 3
  return jax.random.uniform(key, shape, dtype, -bound, bound)


class PEG(nn.Module):
  """Depthwise 3x3x3 convolution over time and space, zero padded, with bias.

  Attributes:
    causal: whether time is padded by two zeros before and none after, so that
      no output sees a later input; else by one zero on both sides.
    scrambled: whether to read the sequences of time, one per place, as if they
      were (T, H, W), as the published code does, so that the kernel slides over
      wrong neighbours. Breaks causality; only for comparison with weights and
      numbers of phenaki-pytorch.
    dtype: type of the output; the sum is in float32.
  """

  causal: bool
  scrambled: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "B T H W D"]) -> Float[Array, "B T H W D"]:
    """(B, T, H, W, D) -> the numbers to be added to it, of the same shape."""
    b, t, height, width, d = x.shape
    kernel = self.param("kernel", _peg_init, (3, 3, 3, d))
    bias = self.param("bias", _peg_init, (d,))
    if self.scrambled:
      x = x.transpose(0, 2, 3, 1, 4).reshape(x.shape)
    time = (2, 0) if self.causal else (1, 1)
    padded = jnp.pad(x, ((0, 0), time, (1, 1), (1, 1), (0, 0)))

    # Sums of shifted arrays, since grouped convolutions are far slower on CPUs.
    # The scan keeps XLA from fusing all 27 into each of their consumers.
    def add_taps(out, i):
      frames = jax.lax.dynamic_slice_in_dim(padded, i, t, axis=1)
      taps = jax.lax.dynamic_index_in_dim(kernel, i, keepdims=False)
      for j, k in itertools.product(range(3), repeat=2):
        shifted = frames[:, :, j : j + height, k : k + width]
        out += shifted * taps[j, k][None, None, None, None]
      return out, None

    out = jnp.broadcast_to(bias[None, None, None, None], x.shape)
    out, _ = jax.lax.scan(add_taps, out, jnp.arange(3))
    if self.scrambled:
      out = out.reshape(b, height, width, t, d).transpose(0, 3, 1, 2, 4)
    return out.astype(self.dtype)

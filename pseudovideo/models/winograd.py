"""3x3 convolutions by Winograd's minimal filtering, F(2x2, 3x3).

Lavin & Gray 2016 ("Fast Algorithms for Convolutional Neural Networks",
Sec. 4.1): windows of 4x4 pixels that begin at every second row and column
become 16 numbers, B^T d B, kernels become 16 others, G g G^T, and the 2x2
outputs of a window are A^T [(G g G^T) * (B^T d B)] A. Over channels the product
in brackets is one matrix product for each of the 16 places, with 16 / 36 of the
multiplications of the plain form. Rounding errors of float32 are about those of
the plain form, 1e-6 of the largest output.

The functions take float32 with zeros around the image, stride 1, and any sides.
They differentiate badly: `convolution` gives them their derivatives. Each is
one program for each shape, called from wherever it is needed, since XLA would
otherwise compile its hundred operations for every layer again.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pseudovideo.models import fusion

Matrix = tuple[tuple[float, ...], ...]
Grid = Sequence[Sequence[jax.Array]]

# The transposes of B and A, and G, as in the paper.
BT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
G: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
AT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))

MAX_VALUES = 2**22
"""The windows of a part of the batch have at most so many values, 16 MiB: they
stay in the cache of the processor, and memory does not grow with the batch."""


@fusion.program
def convolve(
  x: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C D"]
) -> Float[Array, "B H W D"]:
  """(B, H, W, C), (3, 3, C, D) -> (B, H, W, D)."""
  weights = _both_sides(G, [[kernel[i, j] for j in range(3)] for i in range(3)])
  return _filtered(x, weights)


@fusion.program
def input_gradient(
  dy: Float[Array, "B H W D"], kernel: Float[Array, "3 3 C D"]
) -> Float[Array, "B H W C"]:
  """The gradient of sum(dy * convolve(x, kernel)) for x: (B, H, W, C).

  It is a convolution with the kernel turned around, between swapped channels.
  """
  turned = [[kernel[2 - i, 2 - j] for j in range(3)] for i in range(3)]
  weights = _both_sides(G, turned)
  return _filtered(dy, [[w.T for w in row] for row in weights])


def _filtered(x: jax.Array, weights: Grid) -> jax.Array:
  """The outputs of all windows for 4x4 weights, each (C, D)."""

  def part(x):
    windows = _both_sides(BT, _windows(x))
    return _joined(_both_sides(AT, _products(windows, weights)), x.shape)

  parts = _parts(x)
  y = lax.map(part, parts) if len(parts) > 1 else part(parts[0])
  return y.reshape(*x.shape[:3], -1)


@fusion.program
def weight_gradient(
  x: Float[Array, "B H W C"], dy: Float[Array, "B H W D"]
) -> Float[Array, "3 3 C D"]:
  """The gradient of sum(dy * convolve(x, kernel)) for the kernel."""

  def part(x, dy):
    windows = _both_sides(BT, _windows(x))
    outputs = _both_sides(_transposed(AT), _blocks(dy))
    return _products([[w.T for w in row] for row in windows], outputs)

  def add(total, both):
    return jax.tree.map(jnp.add, total, part(*both)), None

  first, *_ = both = _parts(x), _parts(dy, like=x)
  weights = part(first[0], both[1][0])
  if len(first) > 1:
    weights, _ = lax.scan(add, weights, tuple(parts[1:] for parts in both))
  taps = _both_sides(_transposed(G), weights)
  return jnp.stack([jnp.stack(row) for row in taps])


def _parts(x: jax.Array, like: jax.Array | None = None) -> jax.Array:
  """(B, H, W, C) -> (parts, B / parts, H, W, C); as many as `like` has."""
  like = x if like is None else like
  values = 4 * math.prod(like.shape[1:])  # windows of one image
  most = max(1, MAX_VALUES // values)
  size = max(n for n in range(1, len(x) + 1) if len(x) % n == 0 and n <= most)
  return x.reshape(len(x) // size, size, *x.shape[1:])


def _windows(x: jax.Array) -> Grid:
  """The 4x4 pixels of all windows, each (windows, C)."""
  b, h, w, c = x.shape
  rows, columns = -(-h // 2), -(-w // 2)
  ends = (0, 0, 0), (1, 1 + h % 2, 0), (1, 1 + w % 2, 0), (0, 0, 0)
  x = lax.pad(x, jnp.zeros((), x.dtype), ends)

  def pixel(i, j):
    stop = b, i + 2 * rows - 1, j + 2 * columns - 1, c
    return lax.slice(x, (0, i, j, 0), stop, (1, 2, 2, 1)).reshape(-1, c)

  return [[pixel(i, j) for j in range(4)] for i in range(4)]


def _blocks(y: jax.Array) -> Grid:
  """The 2x2 outputs of all windows, each (windows, D)."""
  h, w, d = y.shape[1:]
  ends = (0, 0, 0), (0, h % 2, 0), (0, w % 2, 0), (0, 0, 0)
  y = lax.pad(y, jnp.zeros((), y.dtype), ends)
  return [[y[:, i::2, j::2].reshape(-1, d) for j in (0, 1)] for i in (0, 1)]


def _joined(blocks: Grid, shape: tuple[int, ...]) -> jax.Array:
  """The inverse of `_blocks`, for images of the given (B, H, W, ...)."""
  b, h, w = shape[:3]
  rows, columns = -(-h // 2), -(-w // 2)
  lines = [
    jnp.stack([y.reshape(b, rows, columns, -1) for y in row], axis=3)
    for row in blocks
  ]
  y = jnp.stack(lines, axis=2)  # (B, rows, 2, columns, 2, D)
  return y.reshape(b, 2 * rows, 2 * columns, -1)[:, :h, :w]


def _products(left: Grid, right: Grid) -> Grid:
  return [
    [a @ b for a, b in zip(*rows, strict=True)]
    for rows in zip(left, right, strict=True)
  ]


def _both_sides(matrix: Matrix, grid: Grid) -> Grid:
  """M g M^T for a grid g of arrays."""
  columns = zip(*grid, strict=True)
  left = [[_sum(row, column) for row in matrix] for column in columns]
  lines = zip(*left, strict=True)
  return [[_sum(row, line) for row in matrix] for line in lines]


def _sum(factors: Sequence[float], arrays: Sequence[jax.Array]) -> jax.Array:
  """The sum of factor * array; factors 0, 1 and -1 cost no product."""
  total = None
  for factor, array in zip(factors, arrays, strict=True):
    if factor == 0:
      continue
    term = array if abs(factor) == 1 else abs(factor) * array
    if total is None:
      total = term if factor > 0 else -term
    else:
      total = total + term if factor > 0 else total - term
  assert total is not None
  return total


def _transposed(matrix: Matrix) -> Matrix:
  return tuple(zip(*matrix, strict=True))

"""Layouts of one layer's arrays in PyTorch and here."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

Transform = Callable[[np.ndarray], np.ndarray]


def _same(array: np.ndarray) -> np.ndarray:
  return array


@dataclasses.dataclass(frozen=True)
class Layout:
  """One kind of layer: its weight, and a bias that is `bias` on both sides.

  Attributes:
    name: our name of the weight.
    weight: function from PyTorch's layout of the weight to ours.
    weight_back: function from our layout of the weight to PyTorch's.
    bias: function from PyTorch's layout of the bias to ours.
    bias_back: function from our layout of the bias to PyTorch's.
    their_name: name of the weight in the state dict.
  """

  name: str
  weight: Transform
  weight_back: Transform
  bias: Transform = _same
  bias_back: Transform = _same
  their_name: str = "weight"


@dataclasses.dataclass(frozen=True)
class Layer:
  """One layer on both sides.

  Attributes:
    theirs: name of the layer in the state dict, `input_blocks.0.0`.
    ours: path of the layer in the parameters, `("stem",)`.
    layout: layout of the arrays.
  """

  theirs: str
  ours: tuple[str, ...]
  layout: Layout


def name_differences(given: Iterable[str], expected: Iterable[str]) -> str:
  """The missing and the superfluous names, as a clause; "" if none are."""
  given, expected = dict.fromkeys(given), dict.fromkeys(expected)
  parts = {
    "it lacks": [name for name in expected if name not in given],
    "it has besides": [name for name in given if name not in expected],
  }
  return " and ".join(
    f"{what} {_some(names)}" for what, names in parts.items() if names
  )


def _some(names: list[str]) -> str:
  """The number of names and the first few."""
  first = ", ".join(names[:4])
  return f"{len(names)} ({first}{', ...' if len(names) > 4 else ''})"


# (channels,).
NORM = Layout("scale", _same, _same)

# (out, in) and (in, out).
LINEAR = Layout("kernel", np.transpose, np.transpose)

# (out, in, height, width) and (height, width, in, out).
CONV = Layout(
  "kernel",
  lambda weight: weight.transpose(2, 3, 1, 0),
  lambda kernel: kernel.transpose(3, 2, 0, 1),
)

# (out, in, 1) and (in, out): a convolution over positions of width 1.
POINTWISE = Layout(
  "kernel",
  lambda weight: weight[:, :, 0].T,
  lambda kernel: kernel.T[:, :, None],
)


def pointwise_qkv(heads: int) -> Layout:
  """Makes a `POINTWISE` whose outputs are ordered otherwise.

  PyTorch's outputs are ordered by head, then q, k, v, then channel of the head;
  ours by q, k, v, then head, then channel.
  """

  def by_head(array):
    return array.reshape(3, heads, -1, *array.shape[1:]).swapaxes(0, 1)

  def by_kind(array):
    return array.reshape(heads, 3, -1, *array.shape[1:]).swapaxes(0, 1)

  return Layout(
    "kernel",
    lambda weight: POINTWISE.weight(by_kind(weight).reshape(weight.shape)),
    lambda kernel: by_head(POINTWISE.weight_back(kernel)).reshape(
      *kernel.T.shape, 1
    ),
    lambda bias: by_kind(bias).reshape(-1),
    lambda bias: by_head(bias).reshape(-1),
  )


def gamma(axes: int) -> Layout:
  """Makes the layout of a scale: `gamma` with `axes` axes of size 1 behind."""
  return Layout(
    "scale",
    lambda weight: weight.reshape(-1),
    lambda scale: scale.reshape(-1, *(1,) * axes),
    their_name="gamma",
  )


def over_time(taps: int) -> Layout:
  """Makes (out, in, taps, height, width) <-> (height, width, taps in, out)."""

  def rows_by_time(weight):
    kernel = weight.transpose(3, 4, 2, 1, 0)
    return kernel.reshape(*kernel.shape[:2], -1, kernel.shape[-1])

  def apart(kernel):
    height, width, rows, out = kernel.shape
    kernel = kernel.reshape(height, width, taps, rows // taps, out)
    return kernel.transpose(4, 3, 2, 0, 1)

  return Layout("kernel", rows_by_time, apart)


def dense(conv: Layout) -> Layout:
  """Makes a layout (in, out) of a `conv` of height and width 1."""
  return Layout(
    "kernel",
    lambda weight: conv.weight(weight)[0, 0],
    lambda kernel: conv.weight_back(kernel[None, None]),
  )

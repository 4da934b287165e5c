r"""Sizes along one axis of convolutions, without running them.

With kernel K, stride S, dilation D and padding P = before + after, a size L
becomes

  floor((L + P - D (K - 1) - 1) / S) + 1,

Eq. 26 of the lecture on natural image decoders, which has before = after. The
sizes of an image are those of its axes, each by itself (Eqs. 39 and 40).
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from pseudovideo import errors


class Layer(NamedTuple):
  """One axis of a convolution, in pixels (or frames).

  Attributes:
    kernel: K >= 1.
    stride: S >= 1.
    padding: at each end, or (before, after).
    dilation: D >= 1, the distance of the kernel's taps.
  """

  kernel: int
  stride: int = 1
  padding: int | tuple[int, int] = 0
  dilation: int = 1


class ReceptiveField(NamedTuple):
  """Output t depends on inputs t * stride - before + (0 .. size - 1).

  Every one of them if no dilation or stride leaves gaps, see `receptive_field`.
  """

  size: int
  stride: int
  before: int


def output_size(
  size: int,
  kernel: int,
  stride: int = 1,
  padding: int | tuple[int, int] = 0,
  dilation: int = 1,
) -> int:
  """What a convolution makes of `size`; 0 where its kernel does not fit.

  Args:
    size: L >= 0.
    kernel: as the others, see `Layer`.

  Raises:
    UserError: a number below its bound.
  """
  layer = _checked(Layer(kernel, stride, padding, dilation))
  return max(0, _free(size, layer) // layer.stride + 1)


def remainder(size: int, layer: Layer) -> int:
  """How many padded inputs at the end no window reaches.

  Raises:
    UserError: a number of the layer below its bound.
  """
  free = _free(size, _checked(layer))
  return size + sum(_ends(layer)) if free < 0 else free % layer.stride


def input_size(size: int, layers: Sequence[Layer]) -> int:
  """The only size that layers, first to last, turn into `size` exactly.

  Exactly means that `remainder` is 0 at every layer.

  Args:
    size: of the output, >= 1.
    layers: applied one after another.

  Returns:
    The size; below 1 where the padding alone makes more than `size`.

  Raises:
    UserError: a number of a layer below its bound.
  """
  return _inputs(size, layers)[0]


def legal_sizes(size: int, layers: Sequence[Layer]) -> tuple[int | None, int]:
  """The sizes next to `size` that layers cover without a remainder.

  Args:
    size: any size.
    layers: applied one after another.

  Returns:
    The largest legal size <= `size`, None if there is none, and the smallest
    one >= `size`. Both are `size` if and only if it is legal.

  Raises:
    UserError: a number of a layer below its bound.
  """
  # Where the padding alone fills windows, an output of 1 needs no input.
  first = next(n for n in itertools.count(1) if min(_inputs(n, layers)) > 0)
  start = input_size(first, layers)
  step = input_size(first + 1, layers) - start
  if size < start:
    return None, start
  below = size - (size - start) % step
  return below, below if below == size else below + step


def check_size(size: int, layers: Sequence[Layer], what: str) -> None:
  """Refuses a size that leaves a remainder at one of the layers.

  Args:
    size: any size.
    layers: applied one after another.
    what: the size's name, such as "height".

  Raises:
    UserError: names the legal sizes next to it.
  """
  below, above = legal_sizes(size, layers)
  if size != above:
    legal = f"{above}" if below is None else f"{below} or {above}"
    raise errors.UserError(
      f"The {what} {size} is not covered by the convolutions without a "
      f"remainder; the next sizes that are: {legal}."
    )


def receptive_field(layers: Sequence[Layer]) -> ReceptiveField:
  """What one output of layers, first to last, depends on.

  Its size is 1 + sum_l D_l (K_l - 1) prod_(m < l) S_m, the extent from the
  first to the last input, counted with gaps and with inputs in the padding.

  Raises:
    UserError: a number of a layer below its bound.
  """
  size, stride, before = 1, 1, 0
  for layer in map(_checked, layers):
    size += _reach(layer) * stride
    before += _ends(layer)[0] * stride
    stride *= layer.stride
  return ReceptiveField(size, stride, before)


def _inputs(size: int, layers: Sequence[Layer]) -> list[int]:
  """The exact sizes before every layer, and `size`."""
  sizes = [size]
  for layer in map(_checked, reversed(layers)):
    free = (sizes[0] - 1) * layer.stride
    sizes.insert(0, free + _reach(layer) + 1 - sum(_ends(layer)))
  return sizes


def _free(size: int, layer: Layer) -> int:
  """How far the window can move; negative where it does not fit."""
  return size + sum(_ends(layer)) - _reach(layer) - 1


def _reach(layer: Layer) -> int:
  """From the first to the last tap."""
  return layer.dilation * (layer.kernel - 1)


def _ends(layer: Layer) -> tuple[int, int]:
  padding = layer.padding
  return (padding, padding) if isinstance(padding, int) else padding


def _checked(layer: Layer) -> Layer:
  if min(layer.kernel, layer.stride, layer.dilation) < 1:
    raise errors.UserError(
      f"A convolution has kernel {layer.kernel}, stride {layer.stride} and "
      f"dilation {layer.dilation}; each must be at least 1."
    )
  if min(_ends(layer)) < 0:
    raise errors.UserError(
      f"A convolution has the padding {layer.padding}; it must not be negative."
    )
  return layer

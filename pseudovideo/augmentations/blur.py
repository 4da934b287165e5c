r"""Pseudo videos of Gaussian blur (Sec. 3 and Table 5 of the paper).

Kernels have 11 x 11 taps exp(-(i^2 + j^2) / (2 s^2)), |i|, |j| <= 5, scaled to
sum 1. K_s is the convolution with the kernel of standard deviation s. From the
image x_T backwards, t = 1 .. T - 1, with s_t = exp(rate (t - 1)):

  recursive    x_{T-t} = K_{s_t} x_{T-t+1}
  high order   x_{T-t} = K_{s_t} mean(x_{T-t+1} .. x_T)

The paper defines the recursive blur, except for padding and the first exponent,
and says nothing about the high-order blur (Table 5). Both are our readings,
after the routine of Bansal et al. 2022 ("Cold diffusion").

A kernel is separable and its convolution is linear, padding included, so a
blur is M_H x M_W^T for matrices M of side x side. Their products over t give
every recursive frame from the clean image, in float64 before anything runs.
"""

import dataclasses
import functools
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Float64

from pseudovideo import keys
from pseudovideo.augmentations import common
from pseudovideo.errors import UserError
from pseudovideo.fields import NotNegative
from pseudovideo.shapes import AnyArray

HALF_WIDTH = 5
Padding = Literal["reflect", "circular"]


def kernel_stds(frames: int, rate: float) -> tuple[float, ...]:
  """s_1 .. s_{T-1} = 1, exp(rate), exp(2 rate), .. in pixels."""
  return tuple(np.exp(rate * np.arange(frames - 1)).tolist())


def blur_matrix(
  side: int, std: float, padding: Padding
) -> Float64[np.ndarray, "side side"]:
  """One blur along one axis as a matrix; its rows sum to 1.

  Raises:
    UserError: too few pixels to reflect.
  """
  if padding == "reflect" and side <= HALF_WIDTH:
    raise UserError(
      f"An image side of {side} pixels cannot be blurred with padding "
      f"'reflect', which needs {HALF_WIDTH + 1} or more; use larger images or "
      f"padding='circular'."
    )
  taps = np.exp(-np.square(np.arange(-HALF_WIDTH, HALF_WIDTH + 1) / std) / 2)
  # The pixel that each place of the padded axis repeats; `reflect` does not
  # repeat the edge pixel.
  sources = np.pad(
    np.arange(side),
    HALF_WIDTH,
    mode="reflect" if padding == "reflect" else "wrap",
  )
  matrix = np.zeros((side, side))
  for offset, tap in enumerate(taps / taps.sum()):
    # A pixel may be the source of several taps of one row, never of one tap.
    matrix[np.arange(side), sources[offset : offset + side]] += tap
  return matrix


@functools.lru_cache
def blur_matrices(
  side: int, stds: tuple[float, ...], padding: Padding
) -> Float64[np.ndarray, "K side side"]:
  """One `blur_matrix` per standard deviation."""
  return np.stack([blur_matrix(side, std, padding) for std in stds])


@functools.lru_cache
def cumulative_matrices(
  side: int, stds: tuple[float, ...], padding: Padding
) -> Float64[np.ndarray, "K side side"]:
  """Products of the blurs: entry t - 1 applies blurs 1 .. t in turn."""
  products = [np.eye(side)]
  for matrix in blur_matrices(side, stds, padding):
    products.append(matrix @ products[-1])
  return np.stack(products[1:])


def _check_width(frames: int, rate: float) -> None:
  """Refuses kernels that are far wider than their 11 taps."""
  if rate * (frames - 2) > 3:
    raise UserError(
      "The widest blur kernel, of 11 taps, has a standard deviation of "
      "exp(rate (frames - 2)) pixels, which must be at most exp(3) = 20; got "
      f"augmentation.rate={rate!r} and augmentation.frames={frames}. The "
      "paper's rates are 0.05 and 0.01."
    )


@dataclasses.dataclass(frozen=True)
class Blur(common.Corruption):
  """The image blurred again and again, each time a little more.

  Attributes:
    frames: T, at least 2; 8 and 18 in the paper.
    rate: growth of the kernel's standard deviation exp(rate i), i = 0 .. T-2.
      None takes the paper's: 0.05 up to 8 frames and 0.01 for more.
    padding: `reflect` (sides of 6 pixels or more) or `circular`, which wraps
      opposite edges and keeps the mean of every channel exactly.
  """

  rate: NotNegative | None = None
  padding: Padding = "reflect"

  def check(self) -> None:
    """Refuses a rate that makes the widest kernel too wide."""
    _check_width(self.frames, self._rate())

  def _rate(self) -> float:
    if self.rate is None:
      return 0.05 if self.frames <= 8 else 0.01
    return self.rate

  def __call__(
    self,
    images: Float32[AnyArray, "B H W C"],
    *,
    key: keys.Keys | None = None,
  ) -> Float32[Array, "B T H W C"]:
    """The video; nothing is drawn from `key`."""
    common.check_images(images)
    stds = kernel_stds(self.frames, self._rate())
    # (T - 1, H, H) and (T - 1, W, W), the most blurred frame first.
    rows, columns = (
      cumulative_matrices(side, stds, self.padding)[::-1]
      for side in images.shape[1:3]
    )
    return common.append_image(
      common.filter_axes(images, rows, columns), images
    )


@dataclasses.dataclass(frozen=True)
class HighOrderBlur(common.Corruption):
  """The mean of all later frames, blurred (Table 5, our reading).

  Attributes:
    frames: T, at least 2; 4 and 8 in the paper.
    rate: growth of the kernel's standard deviation exp(rate i), i = 0 .. T-2.
    padding: see `Blur`.
  """

  rate: NotNegative = 0.05
  padding: Padding = "reflect"

  def check(self) -> None:
    """Refuses a rate that makes the widest kernel too wide."""
    _check_width(self.frames, self.rate)

  def __call__(
    self,
    images: Float32[AnyArray, "B H W C"],
    *,
    key: keys.Keys | None = None,
  ) -> Float32[Array, "B T H W C"]:
    """The video; nothing is drawn from `key`."""
    common.check_images(images)
    stds = kernel_stds(self.frames, self.rate)
    rows, columns = (
      blur_matrices(side, stds, self.padding) for side in images.shape[1:3]
    )
    # `total` is the sum of x_{T-t+1} .. x_T, which are t frames.
    frames, total = [], images
    for t in range(1, self.frames):
      now = slice(t - 1, t)
      frame = common.filter_axes(total / t, rows[now], columns[now])[:, 0]
      frames.append(frame)
      total = total + frame
    return common.append_image(jnp.stack(frames[::-1], axis=1), images)

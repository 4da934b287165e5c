r"""Pseudo videos of Gaussian blur (Sec. 3 and Table 5 of the paper).

Kernels have 11 x 11 taps exp(-(i^2 + j^2) / (2 s^2)), |i|, |j| <= 5, scaled to
sum 1. K_s is the convolution with the kernel of standard deviation s. From the
image x_T backwards, t = 1 .. T - 1, with s_t = exp(rate (t - 1)):

  recursive    x_{T-t} = K_{s_t} x_{T-t+1}
  high order   x_{T-t} = K_{s_t} mean(x_{T-t+1} .. x_T)

The paper defines the first only up to padding and the first exponent, the
second (Table 5) not at all; both are our readings, with the routine of
Bansal et al. 2022 ("Cold diffusion") behind them.

A kernel is separable and its convolution is linear, padding included, so a
blur is M_H x M_W^T for matrices M of side x side. Their products over t give
every recursive frame from the clean image, in float64 before anything runs.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo.augmentations import common
from pseudovideo.errors import UserError, look_up

HALF_WIDTH = 5
PADDINGS = {"reflect": "reflect", "circular": "wrap"}
"""Our name of a padding: numpy's. `reflect` does not repeat the edge pixel."""


def kernel_stds(frames: int, rate: float) -> tuple[float, ...]:
  """s_1 .. s_{T-1} = 1, exp(rate), exp(2 rate), .. in pixels."""
  return tuple(np.exp(rate * np.arange(frames - 1)).tolist())


def blur_matrix(side: int, std: float, padding: str) -> np.ndarray:
  """One blur along one axis, as a (side, side) float64 matrix; rows sum to 1.

  Raises:
    UserError: unknown padding, or too few pixels to reflect.
  """
  mode = look_up("padding", padding, PADDINGS)
  if padding == "reflect" and side <= HALF_WIDTH:
    raise UserError(
      f"An image side of {side} pixels cannot be blurred with padding "
      f"'reflect', which needs {HALF_WIDTH + 1} or more; use larger images or "
      f"padding='circular'."
    )
  taps = np.exp(-np.square(np.arange(-HALF_WIDTH, HALF_WIDTH + 1) / std) / 2)
  sources = np.pad(np.arange(side), HALF_WIDTH, mode=mode)
  matrix = np.zeros((side, side))
  for offset, tap in enumerate(taps / taps.sum()):
    # A pixel may be the source of several taps of one row, never of one tap.
    matrix[np.arange(side), sources[offset : offset + side]] += tap
  return matrix


@functools.lru_cache
def blur_matrices(
  side: int, stds: tuple[float, ...], padding: str
) -> np.ndarray:
  """(T - 1, side, side) float64: one `blur_matrix` per standard deviation."""
  return np.stack([blur_matrix(side, std, padding) for std in stds])


@functools.lru_cache
def cumulative_matrices(
  side: int, stds: tuple[float, ...], padding: str
) -> np.ndarray:
  """(T - 1, side, side) float64: entry t - 1 applies blurs 1 .. t in turn."""
  products = [np.eye(side)]
  for matrix in blur_matrices(side, stds, padding):
    products.append(matrix @ products[-1])
  return np.stack(products[1:])


def _check(frames: int, rate: float, padding: str) -> None:
  common.check_frames(frames)
  look_up("padding", padding, PADDINGS)
  if isinstance(rate, bool) or not isinstance(rate, int | float):
    raise UserError(f"The rate of a blur is a number; got rate={rate!r}.")
  if not 0 <= rate * (frames - 2) <= 3:
    raise UserError(
      f"The widest of the 11-tap blur kernels has a standard deviation of "
      f"exp(rate (frames - 2)) pixels, which must lie between 1 and 20; got "
      f"rate={rate!r}, frames={frames}. The paper's rates are 0.05 and 0.01."
    )


@dataclasses.dataclass(frozen=True)
class Blur:
  """The image blurred again and again, each time a little more.

  Attributes:
    frames: T, at least 2; 8 and 18 in the paper.
    rate: growth of the kernel's standard deviation exp(rate i), i = 0 .. T-2.
      None takes the paper's: 0.05 up to 8 frames and 0.01 for more.
    padding: `reflect` (sides of 6 pixels or more) or `circular`, which wraps
      opposite edges and keeps the mean of every channel exactly.
  """

  frames: int = 8
  rate: float | None = None
  padding: str = "reflect"

  def __post_init__(self):
    common.check_frames(self.frames)
    _check(self.frames, self._rate(), self.padding)

  def _rate(self) -> float:
    if self.rate is None:
      return 0.05 if self.frames <= 8 else 0.01
    return self.rate

  def __call__(
    self, images: jax.Array, *, key: jax.Array | None = None
  ) -> jax.Array:
    """(B, H, W, C) float32 -> (B, T, H, W, C); draws nothing from `key`."""
    stds = kernel_stds(self.frames, self._rate())
    rows, columns = (
      cumulative_matrices(side, stds, self.padding)[::-1]
      for side in images.shape[1:3]
    )
    return common.append_image(
      common.filter_axes(images, rows, columns), images
    )


@dataclasses.dataclass(frozen=True)
class HighOrderBlur:
  """The mean of all later frames, blurred (Table 5, our reading).

  Attributes:
    frames: T, at least 2; 4 and 8 in the paper.
    rate: growth of the kernel's standard deviation exp(rate i), i = 0 .. T-2.
    padding: as for `Blur`.
  """

  frames: int = 8
  rate: float = 0.05
  padding: str = "reflect"

  def __post_init__(self):
    _check(self.frames, self.rate, self.padding)

  def __call__(
    self, images: jax.Array, *, key: jax.Array | None = None
  ) -> jax.Array:
    """(B, H, W, C) float32 -> (B, T, H, W, C); draws nothing from `key`."""
    stds = kernel_stds(self.frames, self.rate)
    rows, columns = (
      blur_matrices(side, stds, self.padding) for side in images.shape[1:3]
    )
    frames, total = [], images
    for t in range(1, self.frames):
      now = slice(t - 1, t)
      frame = common.filter_axes(total / t, rows[now], columns[now])[:, 0]
      frames.append(frame)
      total = total + frame
    return common.append_image(jnp.stack(frames[::-1], axis=1), images)

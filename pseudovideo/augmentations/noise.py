"""Pseudo videos of Gaussian noise (Sec. 4.2 of the pseudo-video paper).

With beta_1 <= ... <= beta_{T-1}, independent eps_t ~ N(0, I), and from the
image x_T backwards, t = 1 .. T - 1:

  x_{T-t} = sqrt(1 - beta_t) source_t + sqrt(beta_t) eps_t
  first order   source_t = x_{T-t+1}
  high order    source_t = mean(x_{T-t+1}, .., x_T)

The smallest beta makes the frame next to the image. High-order frames are no
Markov chain, and they are cleaner than first-order frames of the same betas.
The controls for the latter are first-order chains with the same signal-to-noise
ratios. High-order frame t is a_t x_T + noise of variance v_t. Several frames
together, with coefficients a and covariance S of their noise, say as much of
x_T as one image with the ratio a^T S^-1 a (see `diffusion.information`).

  matched SNR          SNR_t = a_t^2 / v_t
  matched information  SNR_t = a^T S^-1 a of frame t and all noisier ones
  both                 alphabar_t = SNR_t / (1 + SNR_t),  alphabar_0 = 1,
                       beta_t = 1 - alphabar_t / alphabar_{t-1}.

In a first-order chain noisier frames add nothing to a frame. So the second has
what its sampler knows in common with the high-order frames, the first has not.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Gt, Lt
from jaxtyping import Array, Float32, Float64

from pseudovideo import keys
from pseudovideo.augmentations import common
from pseudovideo.shapes import AnyArray

Beta = Annotated[float, Gt(0), Lt(1)]


def weights(
  betas: Sequence[float] | Float64[np.ndarray, " K"], *, high_order: bool
) -> Float64[np.ndarray, "K K+1"]:
  """Every frame as a combination of the image and the noises, in float64.

  Args:
    betas: beta_1 .. beta_{T-1}.
    high_order: True for the high-order chain, False for the first-order chain.

  Returns:
    (T - 1, T). Row t - 1 belongs to frame x_{T-t}; column 0 is the coefficient
    of x_T, column s the coefficient of eps_s.
  """
  image, *noises = np.eye(len(betas) + 1)
  frames = [image]
  for beta, eps in zip(betas, noises, strict=True):
    source = np.mean(frames, axis=0) if high_order else frames[-1]
    frames.append(math.sqrt(1 - beta) * source + math.sqrt(beta) * eps)
  return np.stack(frames[1:])


def linear_betas(
  frames: int, beta_min: float, beta_max: float
) -> tuple[float, ...]:
  """beta_1 .. beta_{T-1}, evenly spaced from `beta_min` to `beta_max`."""
  return tuple(np.linspace(beta_min, beta_max, frames - 1).tolist())


def joint_ratio(rows: Float64[np.ndarray, "K N"]) -> float:
  """The signal-to-noise ratio of some frames together, a^T S^-1 a.

  Args:
    rows: of `weights`; without rows the ratio is 0.
  """
  signal, noise = rows[:, 0], rows[:, 1:]
  return float(signal @ np.linalg.solve(noise @ noise.T, signal))


@functools.lru_cache
def matched_betas(
  frames: int, beta_min: float, beta_max: float, *, jointly: bool
) -> tuple[float, ...]:
  """First-order betas with the ratios of the high-order frames, in float64.

  Args:
    frames: T.
    beta_min: of the high-order chain.
    beta_max: of the high-order chain.
    jointly: whether the ratio of a frame is that of all frames from the
      noisiest to it.
  """
  rows = weights(linear_betas(frames, beta_min, beta_max), high_order=True)
  ratios = np.array(
    [
      joint_ratio(rows[t:] if jointly else rows[t : t + 1])
      for t in range(len(rows))
    ]
  )
  kept = np.concatenate([[1.0], ratios / (1 + ratios)])
  return tuple((1 - kept[1:] / kept[:-1]).tolist())


@dataclasses.dataclass(frozen=True)
class _Noise(common.Corruption):
  """Fields and frame order of the chains.

  Attributes:
    frames: T, at least 2.
    beta_min: variance of the first noise added, next to the image.
    beta_max: variance of the last one, not below `beta_min`. With T = 2 only
      `beta_min` is used.
  """

  beta_min: Beta = 1e-4
  beta_max: Beta = 0.05

  high_order: ClassVar[bool] = False
  """True: a frame's source is the mean of all later frames; False: the next."""

  def check(self) -> None:
    """Refuses a `beta_min` above `beta_max`."""
    common.check_order("beta_min", self.beta_min, "beta_max", self.beta_max)

  def betas(self) -> tuple[float, ...]:
    """beta_1 .. beta_{T-1}; the first makes the frame next to the image."""
    return linear_betas(self.frames, self.beta_min, self.beta_max)

  def weights(self) -> Float64[np.ndarray, "K K+1"]:
    """See the function `weights`."""
    return weights(self.betas(), high_order=self.high_order)

  def __call__(
    self, images: Float32[AnyArray, "B H W C"], *, key: keys.Keys
  ) -> Float32[Array, "B T H W C"]:
    """The video, its noise drawn from `key`.

    Raises:
      ValueError: the images are not float32; uint8 would wrap around.
    """
    common.check_images(images)
    rows = keys.example_keys(key, len(images))

    def step(carry, inputs):
      previous, total = carry
      t, beta = inputs
      source = total / t if self.high_order else previous
      frame = jnp.sqrt(1 - beta) * source
      eps = keys.normal(keys.numbered(rows, t), images.shape)
      frame += jnp.sqrt(beta) * eps
      return (frame, total + frame), frame

    steps = jnp.arange(1, self.frames), jnp.float32(self.betas())
    # (T - 1, B, H, W, C), x_{T-1} first.
    _, near_to_far = jax.lax.scan(step, (images, images), steps)
    return common.append_image(jnp.moveaxis(near_to_far[::-1], 0, 1), images)


class FirstOrder(_Noise):
  """Gaussian noise added again and again, a first-order Markov chain."""


class HighOrder(_Noise):
  """Gaussian noise added to the mean of all later frames."""

  high_order = True


class MatchedSNR(FirstOrder):
  """A first-order chain with the signal-to-noise ratios of `HighOrder`."""

  def betas(self) -> tuple[float, ...]:
    """The matched beta_1 .. beta_{T-1}; the first is `beta_min`."""
    return self._matched(jointly=False)

  def _matched(self, *, jointly: bool) -> tuple[float, ...]:
    ends = self.frames, self.beta_min, self.beta_max
    return matched_betas(*ends, jointly=jointly)


class MatchedInformation(MatchedSNR):
  """A first-order chain that says, up to each frame, what `HighOrder` says."""

  def betas(self) -> tuple[float, ...]:
    """The matched beta_1 .. beta_{T-1}."""
    return self._matched(jointly=True)

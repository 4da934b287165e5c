"""The start of the chain of the heat HVAE: images blurred to level K.

Either start can be taken after training, because `fit` stores what both need:

  gaussian         coefficients N(mean, std^2 + sigma^2), all independent
  training_images  (1 / N) sum_i N(F_K x_i, delta^2 I) over the N training
                   images, as in Rissanen et al. (2022)

Coefficients are of the orthonormal DCT, in which images are nearly
decorrelated. The divergences from q(u_K | u_0) = N(F_K u_0, sigma^2 I), Eq. 11
of the pseudo-video paper, are the first term of a bound of -log p(u_0) and do
not depend on the basis.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, UInt8

from pseudovideo import keys
from pseudovideo.augmentations import heat
from pseudovideo.losses import gaussian
from pseudovideo.shapes import AnyArray

Start = dict[str, Float32[Array, "..."]]
"""The dict that `fit` returns."""

_LEAST_GAIN = 1e-6
_CHUNK = 1000


Coefficients = Callable[
  [UInt8[AnyArray, "B H W C"], keys.Keys], Float32[Array, "B H W C"]
]


@dataclasses.dataclass(frozen=True)
class HeatSampler:
  """Section `sampler` of task `heat_hvae`; a trained run may take another.

  Attributes:
    start: `gaussian`, fitted to the blurred training images, or
      `training_images`, one of which is drawn for every sample.
  """

  start: Literal["gaussian", "training_images"] = "gaussian"


def low_modes(side: int, sigma: float) -> Int[np.ndarray, " M"]:
  """The modes that a blur of `sigma` pixels leaves with a gain of 1e-6 or more.

  The other modes change no float32 pixel in [0, 1]. At 28 pixels and sigma = 20
  eight modes are left; small blurs leave all of them.

  Returns:
    Indices into the side * side coefficients of a channel.
  """
  gain = np.exp(-heat.eigenvalues(side, side) * sigma**2 / 2)
  return np.flatnonzero(gain >= _LEAST_GAIN)


def fit(
  images: UInt8[np.ndarray, "N H W C"],
  coefficients: Coefficients,
  modes: Int[np.ndarray, " M"],
) -> Start:
  """Fits what both starts need to the training images.

  Args:
    images: training images.
    coefficients: takes some of the images and their keys, returns their
      coefficients at level K.
    modes: indices of `low_modes`.

  Returns:
    `start_mean` and `start_std`, (H, W, C), of every coefficient;
    `start_modes`, (N, M * C) float32, the coefficients `modes` of every image.
  """
  coefficients = jax.jit(coefficients)
  total, squares, kept = 0.0, 0.0, []
  for first in range(0, len(images), _CHUNK):
    chunk = np.asarray(images[first : first + _CHUNK])
    rows = keys.example_keys(jax.random.key(0), len(chunk), first)
    c = np.asarray(coefficients(chunk, rows))
    kept.append(_select(c, modes))
    c = c.astype(np.float64)
    total = total + c.sum(axis=0)
    squares = squares + np.square(c).sum(axis=0)
  mean = total / len(images)
  std = np.sqrt(np.maximum(squares / len(images) - np.square(mean), 0))
  return {
    "start_mean": jnp.asarray(mean, jnp.float32),
    "start_std": jnp.asarray(std, jnp.float32),
    "start_modes": jnp.asarray(np.concatenate(kept)),
  }


def draw_gaussian(
  start: Start, key: keys.Keys, num: int, sigma: float
) -> Float32[Array, "num H W C"]:
  """Images drawn from the Gaussian, image i from key i."""
  mean, std = start["start_mean"][None], start["start_std"][None]
  shape = (num, *mean.shape[1:])
  images = heat.from_frequencies(
    mean + std * keys.normal(keys.named(key, "start"), shape)
  )
  return images + sigma * keys.normal(keys.named(key, "start_noise"), shape)


def draw_training_image(
  start: Start,
  key: keys.Keys,
  num: int,
  modes: Int[np.ndarray, " M"],
  delta: float,
) -> Float32[Array, "num H W C"]:
  """Images drawn from the mixture, image i from key i."""
  height, width, channels = start["start_mean"].shape
  choice = keys.integers(
    keys.named(key, "start"), num, 0, len(start["start_modes"])
  )
  # (num, M * C) -> (num, M, C) -> (num, H * W, C) -> (num, H, W, C).
  kept = start["start_modes"][choice].reshape(num, len(modes), channels)
  flat = jnp.zeros((num, height * width, channels)).at[:, modes].set(kept)
  images = heat.from_frequencies(flat.reshape(num, height, width, channels))
  noise = keys.normal(keys.named(key, "start_noise"), images.shape)
  return images + delta * noise


def gaussian_divergence(
  start: Start, coefficients: Float32[Array, "B H W C"], sigma: float
) -> Float32[Array, " B"]:
  """The divergence KL(q(u_K | u_0) || the Gaussian) in nats, over all modes.

  Args:
    start: fitted by `fit`.
    coefficients: coefficients of F_K u_0.
    sigma: standard deviation of q, which the Gaussian has on top of its own.
  """
  variance = jnp.square(start["start_std"]) + sigma**2
  kl = gaussian.kl(
    coefficients,
    jnp.full((1, 1, 1, 1), 2 * math.log(sigma)),
    start["start_mean"][None],
    jnp.log(variance)[None],
  )
  return jnp.sum(kl, axis=(1, 2, 3))


def mixture_divergence(
  start: Start,
  coefficients: Float32[Array, "B H W C"],
  modes: Int[np.ndarray, " M"],
  sigma: float,
  delta: float,
) -> Float32[Array, " B"]:
  """An upper bound of KL(q(u_K | u_0) || the mixture of training images), nats.

  It is log N - log sum_i exp(-KL_i) with the divergence KL_i from component i.
  All modes count. Modes that are not stored have the mean 0 in every image and
  differ in their scales only.

  Args:
    start: fitted by `fit`; u_0 should not be among its training images.
    coefficients: coefficients of F_K u_0.
    modes: indices of `low_modes`.
    sigma: standard deviation of q.
    delta: standard deviation of the components.
  """
  stored = start["start_modes"]  # (N, M * C).
  variance = delta**2

  def log_sum(row):
    distance = jnp.sum(jnp.square(stored - row[None]), axis=1)
    return jax.nn.logsumexp(-distance / (2 * variance))

  # One image at a time: all images against all training images would be large.
  log_sums = jax.lax.map(log_sum, _select(coefficients, modes))
  # KL_i = distance / (2 delta^2) + scales, the divergence between Gaussians of
  # the standard deviations sigma and delta in `size` dimensions.
  ratio = sigma**2 / variance
  size = math.prod(coefficients.shape[1:])
  scales = size / 2 * (ratio - 1 - math.log(ratio))
  return math.log(len(stored)) - log_sums + scales


def _select(coefficients: Any, modes: np.ndarray) -> Any:
  """Picks modes, (B, H, W, C) -> (B, M * C), of numpy and jax arrays."""
  num, _, _, channels = coefficients.shape
  flat = coefficients.reshape(num, -1, channels)
  return flat[:, modes].reshape(num, -1)

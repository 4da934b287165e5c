"""Where the chain of the heat HVAE starts: images blurred to level K.

Either start can be taken after training, because `fit` stores what both need:

  gaussian         coefficients N(mean, std^2 + sigma^2), all independent
  training_images  (1 / N) sum_i N(F_K x_i, delta^2 I) over the N training
                   images, as in Rissanen et al. (2022)

Coefficients are those of the orthonormal DCT, where images are nearly
decorrelated. The divergences from q(u_K | u_0) = N(F_K u_0, sigma^2 I) are the
first term of a bound of -log p(u_0) and do not depend on the basis.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors, keys
from pseudovideo.augmentations import heat
from pseudovideo.losses import gaussian

STARTS = ("gaussian", "training_images")

Start = dict[str, jax.Array]

_LEAST_GAIN = 1e-6
_CHUNK = 1000


@dataclasses.dataclass(frozen=True)
class HeatSampler:
  """Section `sampler` of task `heat_hvae`; a trained run may take another.

  Attributes:
    start: `gaussian`, fitted to the blurred training images, or
      `training_images`, one of which is drawn for every sample.
  """

  start: str = "gaussian"

  def check(self) -> None:
    """Raises `UserError` for an unknown start."""
    if self.start not in STARTS:
      raise errors.unknown("sampler.start", self.start, STARTS)


def low_modes(side: int, sigma: float) -> np.ndarray:
  """Modes that a blur of `sigma` pixels leaves with a gain of 1e-6 or more.

  The others change no float32 pixel in [0, 1]. At 28 pixels and sigma = 20
  eight modes are left; small blurs leave all of them.

  Returns:
    (M,) indices into the side * side coefficients of a channel.
  """
  gain = np.exp(-heat.eigenvalues(side, side) * sigma**2 / 2)
  return np.flatnonzero(gain >= _LEAST_GAIN)


def fit(
  images: np.ndarray,
  coefficients: Callable[[Any, jax.Array], jax.Array],
  modes: np.ndarray,
) -> Start:
  """What both starts need to know of the training images.

  Args:
    images: (N, H, W, C) uint8.
    coefficients: takes some of the images and their keys, returns their
      coefficients at level K, of the same shape.
    modes: (M,) of `low_modes`.

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
    c = np.float64(c)
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
  start: Start, key: jax.Array, num: int, sigma: float
) -> jax.Array:
  """(num, H, W, C) images from the Gaussian; row i drawn from key i."""
  mean, std = start["start_mean"][None], start["start_std"][None]
  shape = (num, *mean.shape[1:])
  images = heat.from_frequencies(
    mean + std * keys.normal(keys.named(key, "start"), shape)
  )
  return images + sigma * keys.normal(keys.named(key, "start_noise"), shape)


def draw_training_image(
  start: Start, key: jax.Array, num: int, modes: np.ndarray, delta: float
) -> jax.Array:
  """(num, H, W, C) images from the mixture; row i drawn from key i."""
  height, width, channels = start["start_mean"].shape
  choice = keys.integers(
    keys.named(key, "start"), num, 0, len(start["start_modes"])
  )
  kept = start["start_modes"][choice].reshape(num, len(modes), channels)
  flat = jnp.zeros((num, height * width, channels)).at[:, modes].set(kept)
  images = heat.from_frequencies(flat.reshape(num, height, width, channels))
  noise = keys.normal(keys.named(key, "start_noise"), images.shape)
  return images + delta * noise


def gaussian_divergence(
  start: Start, coefficients: jax.Array, sigma: float
) -> jax.Array:
  """KL(q(u_K | u_0) || the Gaussian), exact, over all modes.

  Args:
    start: of `fit`.
    coefficients: (B, H, W, C) of F_K u_0.
    sigma: standard deviation of q, which the Gaussian has on top of its own.

  Returns:
    (B,) nats.
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
  coefficients: jax.Array,
  modes: np.ndarray,
  sigma: float,
  delta: float,
) -> jax.Array:
  """An upper bound of KL(q(u_K | u_0) || the mixture of training images).

  log N - log sum_i exp(-KL_i) with the divergence KL_i from component i. All
  modes count, but those that are not stored have the mean 0 in every image and
  differ in their scales only.

  Args:
    start: of `fit`; u_0 should not be among its training images.
    coefficients: (B, H, W, C) of F_K u_0.
    modes: (M,) of `low_modes`.
    sigma: standard deviation of q.
    delta: standard deviation of the components.

  Returns:
    (B,) nats.
  """
  stored = start["start_modes"]
  variance = delta**2

  def log_sum(row):
    distance = jnp.sum(jnp.square(stored - row[None]), axis=1)
    return jax.nn.logsumexp(-distance / (2 * variance))

  # One image at a time: all of them against all training images are large.
  log_sums = jax.lax.map(log_sum, _select(coefficients, modes))
  ratio = sigma**2 / variance
  size = math.prod(coefficients.shape[1:])
  scales = size / 2 * (ratio - 1 - math.log(ratio))
  return math.log(len(stored)) - log_sums + scales


def _select(coefficients: Any, modes: np.ndarray) -> Any:
  """(B, H, W, C) -> (B, M * C), for numpy and jax arrays."""
  num, _, _, channels = coefficients.shape
  flat = coefficients.reshape(num, -1, channels)
  return flat[:, modes].reshape(num, -1)

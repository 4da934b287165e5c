"""Scale and shift of a video VAE's latents, for models of latents.

As in the public code of IV-VAE, a latent z becomes scale (z - shift), with two
scalars for all channels and places, so that a noise process sees numbers of
mean 0 and variance 1.
"""

from typing import Any, NamedTuple

import flax
import jax
import numpy as np

from pseudovideo import keys
from pseudovideo.data import cache
from pseudovideo.devices import batching
from pseudovideo.tasks import first_stage


class Scaling(NamedTuple):
  """Latents are `scale * (z - shift)`.

  Attributes:
    scale: 1 / the standard deviation of latents.
    shift: their mean.
  """

  scale: float
  shift: float


def estimate(
  run: Any, images: np.ndarray, *, batch_size: int, seed: int = 0
) -> Scaling:
  """Scale and shift over the pseudo videos of training images.

  They belong to latents drawn from the posterior N(m, s^2), as in training, but
  nothing is drawn: the mean is the mean of m, and the variance is the variance
  of m plus the mean of s^2. Sums are float64.

  Args:
    run: a `runs.Run` of a video VAE, or anything with its `task`, `params` and
      `extra`.
    images: (N, H, W, C) uint8, such as `run.image_set.train_images`.
    batch_size: images at a time; changes nothing but rounding.
    seed: seed of pseudo videos that have random numbers.
  """

  def posterior(params, extra, batch, key):
    video = run.task.pseudo_video(params, extra, batch, key=key)
    return run.task.posterior(params, video)

  count, total, squares = 0, 0.0, 0.0
  for _, (means, log_variances) in batching.map_batches(
    posterior,
    (run.params, run.extra),
    images,
    key=keys.named(jax.random.key(seed), "latents"),
    batch_size=batch_size,
  ):
    means, log_variances = np.float64(means), np.float64(log_variances)
    count += means.size
    total += means.sum()
    squares += np.square(means).sum() + np.exp(log_variances).sum()
  shift = total / count
  deviation = np.sqrt(squares / count - shift**2)
  return Scaling(float(1 / deviation), float(shift))


def autoencoder_hash(run: Any) -> str:
  """SHA-256 (hexadecimal) of all that encodes and decodes.

  Args:
    run: see `estimate`; its averaged weights count.
  """
  found = {name: run.params[name] for name in first_stage.AUTOENCODER.params}
  arrays = flax.traverse_util.flatten_dict(jax.device_get(found), sep="/")
  return cache.fingerprint(arrays)

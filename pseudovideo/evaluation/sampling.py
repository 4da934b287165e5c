"""Draws many samples in batches over all devices.

Sample i does not depend on the batches. Of an autoencoder the samples are
reconstructions.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from pseudovideo import keys, pixels
from pseudovideo.devices import sharding
from pseudovideo.report import drawing as pictures_of
from pseudovideo.tasks import base

Sampler = Callable[..., pixels.Quantized]

FILM_STRIPS = 4


def make_sampler(
  task: Any,
  mesh: jax.sharding.Mesh,
  weights: Any = None,
  compiler_options: dict[str, Any] | None = None,
) -> Sampler:
  """A jitted function (params, extra, keys (B,)) -> videos (B, T, H, W, C).

  The videos are a `pixels.Quantized`.

  For an autoencoder it takes the images after the keys, uint8 (B, H, W, C).

  Args:
    task: what is sampled.
    mesh: see `sharding.make_mesh`.
    weights: shardings of the parameters; None if they are replicated.
    compiler_options: of `jax.jit`.
  """

  autoencoder = base.is_autoencoder(task)

  def sample(params, extra, rows, *images):
    if autoencoder:
      video = task.reconstruct(params, extra, *images, key=rows)
    else:
      video = task.sample(params, extra, key=rows, num=rows.shape[0])
    return pixels.quantize(video, task.value_range)

  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  weights = whole if weights is None else weights
  jitted = jax.jit(
    sample,
    in_shardings=(weights, whole, cut, *([cut] if autoencoder else [])),
    # Every process looks at all of them.
    out_shardings=cut if cut.is_fully_addressable else whole,
    compiler_options=compiler_options,
  )

  def padded(params, extra, rows, *images):
    num = rows.shape[0]
    size = -(-num // mesh.size) * mesh.size
    filled = [
      sharding.put(x[np.arange(size) % num], cut) for x in (rows, *images)
    ]
    found = jitted(params, extra, *filled)
    return jax.tree.map(lambda x: x[:num], found)

  return padded


def generate_images(
  params: Any,
  extra: Any,
  *,
  key: jax.Array,
  num: int,
  batch_size: int,
  sampler: Sampler,
  images: np.ndarray | None = None,
  progress: Callable[[int], None] = lambda done: None,
) -> tuple[np.ndarray, np.ndarray]:
  """Last frames of `num` videos, drawn `batch_size` at a time.

  Args:
    params: averaged weights.
    extra: the task's own state.
    key: scalar; sample i depends on (key, i) only.
    num: number of videos.
    batch_size: videos per call.
    sampler: what `make_sampler` returned.
    images: (num, H, W, C) uint8, for an autoencoder.
    progress: called with the number of samples done.

  Returns:
    images (num, H, W, C), and the first few whole videos, uint8.

  Raises:
    RunError: a sample is not finite.
  """
  frames: list[np.ndarray] = []
  first = np.empty(0)
  for start in range(0, num, batch_size):
    rows = keys.example_keys(key, batch_size, start)
    inputs = []
    if images is not None:
      wanted = np.arange(start, start + batch_size) % num
      inputs.append(np.asarray(images[wanted]))
    batch = pixels.checked(sampler(params, extra, rows, *inputs), start)
    if not frames:
      first = batch[:FILM_STRIPS].copy()
    frames.append(batch[:, -1])
    progress(min(num, start + batch_size))
  return np.concatenate(frames)[:num], first


def pictures(videos: np.ndarray) -> dict[str, np.ndarray]:
  """Sample grid of the last frames, and film strips of the first videos."""
  return {
    "samples": pictures_of.grid(videos[:, -1]),
    "generated_videos": pictures_of.film_strip(videos[:FILM_STRIPS]),
  }

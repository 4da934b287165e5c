"""Many samples in batches over all devices; sample i does not notice."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from pseudovideo import images, keys, pixels, shapes, sharding

Sampler = Callable[[Any, Any, jax.Array], jax.Array]

FILM_STRIPS = 4


def make_sampler(task: Any, mesh: jax.sharding.Mesh) -> Sampler:
  """A jitted function (params, extra, keys (B,)) -> uint8 (B, T, H, W, C)."""

  def sample(params, extra, rows):
    video = task.sample(params, extra, key=rows, num=rows.shape[0])
    return pixels.to_uint8(video, task.value_range)

  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  jitted = jax.jit(sample, in_shardings=(whole, whole, cut), out_shardings=cut)

  def padded(params, extra, rows):
    num = rows.shape[0]
    size = -(-num // mesh.size) * mesh.size
    filled = rows[np.arange(size) % num]
    return jitted(params, extra, filled)[:num]

  return padded


def generate_images(
  params: Any,
  extra: Any,
  *,
  key: jax.Array,
  num: int,
  batch_size: int,
  sampler: Sampler,
  progress: Callable[[int], None] = lambda done: None,
) -> tuple[np.ndarray, np.ndarray]:
  """Last frames of `num` videos, drawn `batch_size` at a time.

  Args:
    params: averaged weights.
    extra: the task's own state.
    key: scalar; sample i depends on (key, i) only.
    num: how many.
    batch_size: videos per call.
    sampler: of `make_sampler`.
    progress: called with the number of samples done.

  Returns:
    images (num, H, W, C), and the first few whole videos, uint8.
  """
  frames, videos = [], None
  for start in range(0, num, batch_size):
    rows = keys.example_keys(key, batch_size, start)
    batch = np.asarray(sampler(params, extra, rows))
    if videos is None:
      videos = batch[:FILM_STRIPS].copy()
    frames.append(shapes.last_frame(batch))
    progress(min(num, start + batch_size))
  return np.concatenate(frames)[:num], videos


def pictures(videos: np.ndarray) -> dict[str, np.ndarray]:
  """Sample grid of the last frames, and film strips of the first videos."""
  return {
    "samples": images.grid(shapes.last_frame(videos)),
    "generated_videos": images.film_strip(videos[:FILM_STRIPS]),
  }

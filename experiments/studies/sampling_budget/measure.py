"""Samples and scores of one setting."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.sampling_budget.settings import Setting
from pseudovideo import keys, pixels, runs
from pseudovideo.devices import sharding
from pseudovideo.evaluation import scoring
from pseudovideo.pretrained import features

# (params, extra, keys (B,), earlier videos (B, T, H, W, C) or None) -> videos.
Draw = Callable[[Any, Any, jax.Array, jax.Array | None], jax.Array]


def make_draw(task: Any, setting: Setting, mesh: jax.sharding.Mesh) -> Draw:
  """The jitted sampler of a setting; it is compiled when first called.

  Args:
    task: the task of the run, with its own sampler.
    setting: the sampler in its place.
    mesh: devices over which the videos are split.
  """
  fields = vars(task) | {"sampler": setting.sampler(task.sampler)}

  def draw(params, extra, rows, videos):
    sampled = type(task)(**fields)
    if setting.earlier is None:
      return sampled.sample(params, extra, key=rows, num=rows.shape[0])
    last = len(task.stages) - 1
    return sampled.complete(params, videos, last, key=rows)

  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  return jax.jit(draw, in_shardings=(whole, whole, cut, cut), out_shardings=cut)


def draw_images(
  draw: Draw,
  run: runs.Run,
  *,
  seed: int,
  num: int,
  devices: int = 1,
  earlier: np.ndarray | None = None,
  out: np.ndarray | None = None,
  progress: Callable[[int], None] = lambda done: None,
) -> tuple[np.ndarray, float]:
  """Last frames and seconds; sample i depends on (seed, i), as in `evaluate`.

  Args:
    draw: a sampler of `make_draw`.
    run: the run whose weights are sampled.
    seed: seed of the samples.
    num: N.
    devices: number of devices that videos are split over.
    earlier: videos whose last stage is drawn anew, (N, T, H, W, C), or None.
    out: an array that is filled with the videos, (N, T, H, W, C) float32, or
      None.
    progress: called with the number of videos done.

  Returns:
    (N, H, W, C) uint8, and the wall time, compilation included.
  """
  begin = time.monotonic()
  key = keys.named(jax.random.key(seed), "samples")
  size = min(num, run.config.evaluate.batch_size)
  size = -(-size // devices) * devices
  images = []
  for start in range(0, num, size):
    places = np.arange(start, start + size) % num  # A full last batch.
    rows = keys.example_keys(key, size, start)
    videos = None if earlier is None else jnp.asarray(earlier[places])
    videos = draw(run.params, run.extra, rows, videos)
    images.append(pixels.to_uint8(videos[:, -1], run.task.value_range))
    if out is not None:
      out[start : start + size] = videos[: num - start]
    progress(min(num, start + size))
  return np.concatenate(images)[:num], time.monotonic() - begin


def score(
  images: np.ndarray, run: runs.Run, networks: list[features.FeatureNetwork]
) -> dict[str, dict[str, Any]]:
  """Scores as `evaluate` does, with subsets drawn by the run's own seed."""
  return scoring.score(
    images,
    run.image_set,
    networks,
    num_samples=len(images),
    seed=run.config.evaluate.seed,
    binarize=run.config.data.binarize,
  )

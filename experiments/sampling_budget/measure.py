"""Draws and scores images with one setting of `experiments.sampling_budget`."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.sampling_budget.settings import Setting
from pseudovideo import keys, metrics, pixels, runs, sharding

# (params, extra, keys (B,), given videos (B, T, H, W, C) or None) -> videos.
Draw = Callable[[Any, Any, jax.Array, jax.Array | None], jax.Array]


def make_draw(task: Any, setting: Setting, mesh: jax.sharding.Mesh) -> Draw:
  """The jitted sampler of a setting; it is compiled when first called.

  Args:
    task: of the run, with its own sampler.
    setting: replaces it.
    mesh: devices over which the videos are split.
  """
  fields = vars(task) | {"sampler": setting.sampler(task.sampler)}

  def draw(params, extra, rows, videos):
    sampled = type(task)(**fields)
    if setting.given is None:
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
  given: np.ndarray | None = None,
  kept: np.ndarray | None = None,
  progress: Callable[[int], None] = lambda done: None,
) -> tuple[np.ndarray, float]:
  """Last frames and seconds; sample i depends on (seed, i), as in `evaluate`.

  Args:
    draw: of `make_draw`.
    run: its weights.
    seed: of the samples.
    num: N.
    devices: the number that videos are split over.
    given: (N, T, H, W, C), the videos whose last stage is drawn anew.
    kept: (N, T, H, W, C) float32, filled with the videos.
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
    videos = None if given is None else jnp.asarray(given[places])
    videos = draw(run.params, run.extra, rows, videos)
    last = pixels.to_uint8(videos[:, -1], run.task.value_range)
    images.append(np.asarray(last))
    if kept is not None:
      kept[start : start + size] = videos[: num - start]
    progress(min(num, start + size))
  return np.concatenate(images)[:num], time.monotonic() - begin


def score(
  images: np.ndarray, run: runs.Run, network: metrics.FeatureNetwork
) -> dict[str, dict[str, Any]]:
  """As `evaluate` scores; the subsets are those of the run's own seed."""
  return metrics.score(
    images,
    run.image_set,
    [network],
    num_samples=len(images),
    seed=run.config.evaluate.seed,
    binarize=run.config.data.binarize,
  )

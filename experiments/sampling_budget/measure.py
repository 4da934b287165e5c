"""Draws and scores images with one setting of `experiments.sampling_budget`."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.sampling_budget.settings import Setting
from pseudovideo import keys, metrics, pixels, runs, sharding
from pseudovideo.samplers import autoregressive, windows
from pseudovideo.samplers import diffusion as sampler_functions
from pseudovideo.tasks import video_diffusion

# (params, extra, keys (B,), given videos (B, T, H, W, C) or None) -> videos.
Draw = Callable[[Any, Any, jax.Array, jax.Array | None], jax.Array]


class LastStage(video_diffusion.VideoDiffusion):
  """A video task that draws its last stage only, given the earlier frames.

  With frames that it drew itself, the same keys and the same sampler, the
  result is that of `sample`.
  """

  def resample(self, params, video, *, key):
    """Replaces the frames of the last stage.

    Args:
      params: of the network.
      video: (B, T, H, W, C) float32; the frames before the last stage count.
      key: scalar or (B,) keys, as for `sample`.

    Returns:
      (B, T, H, W, C) float32.
    """
    key = keys.example_keys(key, len(video))
    key = keys.numbered(key, len(self.stages) - 1)
    table = windows.Windows.of(self.stages)
    index, observed, latent = (
      jnp.broadcast_to(rows[-1], (len(video), rows.shape[1]))
      for rows in (table.index, table.observed, table.latent)
    )
    window = autoregressive.gather(video, index, observed, latent)
    (chain,) = self.sampler.chains(self.process, 1)
    frames = sampler_functions.sample(
      lambda x, time: self._predict(params, x, time, window),
      keys.normal(keys.named(key, "start"), window.x0.shape),
      chain,
      key=keys.named(key, "chain"),
      method=self.sampler.method,
      clip=self._clipped(window),
    )
    _, latent = self.stages[-1]
    places = np.flatnonzero(table.latent[-1])
    return video.at[:, np.array(latent)].set(frames[:, places])


def make_draw(task: Any, setting: Setting, mesh: jax.sharding.Mesh) -> Draw:
  """The jitted sampler of a setting; it is compiled when first called.

  Args:
    task: of the run, with its own sampler.
    setting: replaces it.
    mesh: devices over which the videos are split.
  """
  fields = vars(task) | {"sampler": setting.sampler(task.sampler)}

  def draw(params, extra, rows, videos):
    if setting.given is None:
      return type(task)(**fields).sample(
        params, extra, key=rows, num=rows.shape[0]
      )
    return LastStage(**fields).resample(params, videos, key=rows)

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
    network,
    num_samples=len(images),
    seed=run.config.evaluate.seed,
    binarize=run.config.data.binarize,
  )

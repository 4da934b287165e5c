"""Videos window by window: each stage generates frames given earlier ones."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import keys
from pseudovideo.samplers import windows


class Window(NamedTuple):
  """The frames that a stage works on, for B videos.

  Attributes:
    index: (B, W) int32, place of each frame in the video.
    observed: (B, W) 1 where the frame is given.
    latent: (B, W) 1 where it is to be generated; padding is neither.
    x0: (B, W, H, W', C): the observed frames; the others are zero.
  """

  index: jax.Array
  observed: jax.Array
  latent: jax.Array
  x0: jax.Array


def gather(video: jax.Array, index, observed, latent) -> Window:
  """The window of a video (B, T, H, W, C); masks and index are (B, W)."""
  frames = jnp.take_along_axis(
    video, index[:, :, None, None, None], axis=1, mode="clip"
  )
  x0 = jnp.where(observed[:, :, None, None, None] > 0, frames, 0)
  return Window(index, observed, latent, x0)


def sample_video(
  sample_window: Callable[[Window, int, jax.Array], jax.Array],
  schedule: windows.Windows,
  kinds: Sequence[int],
  video: jax.Array,
  *,
  key: jax.Array,
  first: int = 0,
) -> jax.Array:
  """Runs stages in turn; each keeps the frames that it was to generate.

  Args:
    sample_window: takes a window, the kind of its stage and (B,) keys; returns
      its frames (B, W, H, W', C), of which only latent ones are used.
    schedule: the stages.
    kinds: one number per stage; stages in a row of one kind are compiled once.
    video: (B, T, H, W', C) float32; the frames that stages before `first`
      would generate count.
    key: scalar or (B,) keys.
    first: stage to begin with.

  Returns:
    (B, T, H, W', C) float32.
  """
  batch, frames = video.shape[:2]
  key = keys.example_keys(key, batch)

  def run(video, stage, kind):
    number, index, _, latent = stage
    rows = [jnp.broadcast_to(a, (batch, *a.shape)) for a in stage[1:]]
    generated = sample_window(
      gather(video, *rows), kind, keys.numbered(key, number)
    )
    place = jnp.where(latent > 0, index, frames)  # Others are dropped.
    return video.at[:, place].set(generated, mode="drop")

  numbers = np.arange(first, len(schedule.index))
  stages = (
    np.arange(len(schedule.index)),
    schedule.index,
    schedule.observed,
    schedule.latent,
  )
  for kind, group in itertools.groupby(numbers, lambda n: kinds[n]):
    members = np.array(list(group))
    video, _ = jax.lax.scan(
      lambda video, stage, kind=kind: (run(video, stage, kind), None),
      video,
      tuple(jnp.asarray(part[members]) for part in stages),
    )
  return video

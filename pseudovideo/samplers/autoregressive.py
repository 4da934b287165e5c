"""Samples videos window by window: each stage is given earlier frames."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Real

from pseudovideo import keys
from pseudovideo.samplers.windows import Windows


class Window(NamedTuple):
  """The frames that a stage works on, for B videos.

  Attributes:
    index: place of each of K frames in the video.
    observed: 1 where the frame is given.
    latent: 1 where the frame is to be generated; padding is neither.
    x0: the observed frames; the others are zero.
  """

  index: Int[Array, "B K"]  # type: ignore[assignment]  # A method of tuples.
  observed: Real[Array, "B K"]
  latent: Real[Array, "B K"]
  x0: Float[Array, "B K H W C"]


SampleWindow = Callable[
  [Window, int, Key[Array, " B"]], Float[Array, "B K H W C"]
]


def gather(
  video: Float[Array, "B T H W C"],
  index: Int[Array, "B K"],
  observed: Real[Array, "B K"],
  latent: Real[Array, "B K"],
) -> tuple[Float[Array, "B K H W C"], Window]:
  """All frames of a window of a video, and the window, with observed ones."""
  # (B, T, ...) -> (B, K, ...), the frames `index`.
  frames = jnp.take_along_axis(
    video, index[:, :, None, None, None], axis=1, mode="clip"
  )
  x0 = jnp.where(observed[:, :, None, None, None] > 0, frames, 0)
  return frames, Window(index, observed, latent, x0)


def sample_video(
  sample_window: SampleWindow,
  schedule: Windows,
  kinds: Sequence[int],
  video: Float[Array, "B T H W C"],
  *,
  key: keys.Keys,
  first: int = 0,
) -> Float[Array, "B T H W C"]:
  """Runs the stages in turn; of each, the latent frames are kept.

  Args:
    sample_window: takes a window, the kind of its stage and (B,) keys; returns
      its frames, of which only latent ones are used.
    schedule: the stages.
    kinds: one number per stage; stages in a row of one kind are compiled once.
    video: the video to start from; only the frames that stages before `first`
      generate are read.
    key: scalar or (B,) keys.
    first: stage to begin with.
  """
  batch, frames = video.shape[:2]
  key = keys.example_keys(key, batch)

  def run(kind, video, stage):
    number, index, _, latent = stage
    # A stage is the same for all videos: (K,) -> (B, K).
    rows = [jnp.broadcast_to(a, (batch, *a.shape)) for a in stage[1:]]
    _, window = gather(video, *rows)
    generated = sample_window(window, kind, keys.numbered(key, number))
    place = jnp.where(latent > 0, index, frames)  # Others are dropped.
    return video.at[:, place].set(generated, mode="drop"), None

  numbers = range(first, len(schedule.index))
  stages = (
    np.arange(len(schedule.index)),
    schedule.index,
    schedule.observed,
    schedule.latent,
  )
  for kind, group in itertools.groupby(numbers, lambda n: kinds[n]):
    members = np.array(list(group))
    video, _ = jax.lax.scan(
      functools.partial(run, kind),
      video,
      tuple(jnp.asarray(part[members]) for part in stages),
    )
  return video

"""Schedules: which frames are generated together, given which other frames.

A schedule is a sequence of stages; stage (observed, latent) generates the
frames `latent` given the frames `observed`, places counted from 0, the noisiest
frame. `Windows` is a schedule as arrays of one width, for jitted code.
"""

import dataclasses

import numpy as np
from jaxtyping import Float32, Int32

from pseudovideo import errors

Stage = tuple[tuple[int, ...], tuple[int, ...]]


def autoregressive(frames: int, context: int) -> tuple[Stage, ...]:
  """The paper's schedule (Sec. 4.2): C frames jointly, then one at a time.

  Args:
    frames: T.
    context: C, in 1 .. T; later frames are given their C predecessors.

  Returns:
    1 + T - C stages.

  Raises:
    UserError: the context is longer than the video, or empty.
  """
  if not 1 <= context <= frames:
    raise errors.UserError(
      f"task.context must be between 1 and the {frames} frames of the video; "
      f"got {context}."
    )
  later = [(tuple(range(i - context, i)), (i,)) for i in range(context, frames)]
  return (((), tuple(range(context))), *later)


def blockwise(frames: int, window: int, new: int) -> tuple[Stage, ...]:
  """The schedule "Autoreg" of Harvey et al. (2022) with their K and S.

  First K frames are generated jointly; then, given the last K - S frames, the
  next S (fewer at the end).

  Args:
    frames: T.
    window: K, in 1 .. T: frames in the network at once.
    new: S, in 1 .. K: frames generated per stage.

  Raises:
    UserError: K or S is out of its range; with S = 0 it would never end.
  """
  if not 1 <= window <= frames:
    raise errors.UserError(
      f"task.window must be between 1 and the {frames} frames of the video; "
      f"got {window}."
    )
  if not 1 <= new <= window:
    raise errors.UserError(
      f"task.new_frames must be between 1 and task.window, {window} frames; "
      f"got {new}."
    )
  stages: list[Stage] = [((), tuple(range(window)))]
  done = window
  while done < frames:
    stop = min(done + new, frames)
    observed = tuple(range(done - window + new, done))
    stages.append((observed, tuple(range(done, stop))))
    done = stop
  return tuple(stages)


@dataclasses.dataclass(frozen=True)
class Windows:
  """A schedule as arrays; rows are S stages, columns the K places of a window.

  Attributes:
    index: frame at each place; padding repeats the last one.
    observed: 1 where the frame is given.
    latent: 1 where the frame is to be generated; padding is neither.
  """

  index: Int32[np.ndarray, "S K"]
  observed: Float32[np.ndarray, "S K"]
  latent: Float32[np.ndarray, "S K"]

  @classmethod
  def of(cls, stages: tuple[Stage, ...]) -> "Windows":
    """The arrays of a schedule, as wide as its widest stage."""
    width = max(len(observed) + len(latent) for observed, latent in stages)
    index = np.zeros((len(stages), width), np.int32)
    masks = np.zeros((2, len(stages), width), np.float32)
    for row, (observed, latent) in enumerate(stages):
      places = (*observed, *latent)
      index[row, : len(places)] = places
      index[row, len(places) :] = places[-1]
      masks[0, row, : len(observed)] = 1
      masks[1, row, len(observed) : len(places)] = 1
    return cls(index, *masks)

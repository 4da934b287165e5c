"""Motion in clips, and scores of clips by their motion.

The benchmark MotionHD (IV-VAE, Wu et al. 2024, Section 4.1) scores a video by
the mean length of the optical flow that RAFT finds, and compares codecs at low
and high motion. Here a flow without a network stands in for RAFT: TV-L1 (Zach,
Pock and Bischof 2007) of scikit-image. The faster `optical_flow_ilk` of the
same package finds motion of one or more pixels in a flat, still scene with
sensor noise of two grey levels, where TV-L1 finds less than a tenth of a pixel.

There are three limits. Motion is underestimated where it is faster than a
twelfth of the shorter side per frame, or than one pixel in clips of 32 x 32.
Flat surroundings are taken to move along with what moves in them, as nothing in
them says otherwise. And the unit is pixels of the clips, so that scores can be
compared at one size only.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Real, Shaped

from pseudovideo import errors

DEFINITION = (
  "Mean length of the optical flow between neighbouring frames, in pixels of "
  "the clip per frame; TV-L1 flow of scikit-image (defaults) on grey values, "
  "which stands in for RAFT: not comparable with scores by RAFT."
)


def scores(
  clips: Shaped[np.ndarray, "..."],
) -> Float64[np.ndarray, " N"]:
  """The mean of `speeds` over pixels and pairs of frames, for each clip.

  Args:
    clips: (N, T, H, W, C) uint8, T >= 2, C = 1 or 3.

  Returns:
    (N,) float64, 0 or more, pixels per frame.

  Raises:
    UserError: other clips, or scikit-image is missing.
  """
  if clips.ndim != 5 or not len(clips):
    raise errors.UserError(
      f"Motion is scored in clips (N, T, H, W, C), but the shape is "
      f"{clips.shape}; give at least one clip."
    )
  return np.array([speeds(clip).mean() for clip in clips])


def speeds(
  clip: Shaped[np.ndarray, "..."],
) -> Float64[np.ndarray, "S H W"]:
  """The length of the optical flow from each frame to the next.

  Args:
    clip: (T, H, W, C) uint8, T >= 2, C = 1 or 3.

  Returns:
    (T - 1, H, W) float64, pixels per frame, at the places of the first frames
    of the pairs.

  Raises:
    UserError: another clip, or scikit-image is missing.
  """
  registration = _registration()
  grey = _grey(clip)
  flows = [
    registration.optical_flow_tvl1(*pair) for pair in itertools.pairwise(grey)
  ]
  return np.linalg.norm(np.array(flows, np.float64), axis=1)


def by_bin(
  motion: Real[np.ndarray, "..."],
  values: Real[np.ndarray, "..."],
  edges: Sequence[int | float],
) -> list[dict[str, Any]]:
  """Means of a metric over the clips of similar motion.

  Args:
    motion: (N,), the result of `scores`.
    values: (N, ...), a metric of the same clips, or of their frames.
    edges: between the bins, ascending; (1, 4) makes the three bins below 1,
      from 1 to below 4, and from 4 on.

  Returns:
    One record for each bin: `from` and `below` in pixels per frame (None for
    no bound), `num_clips`, and the mean `value` (None in an empty bin).

  Raises:
    UserError: edges that do not ascend.
    ValueError: not one value, or row of values, for each clip.
  """
  edges = [float(edge) for edge in edges]
  if not (np.diff(edges) > 0).all():
    raise errors.UserError(
      f"The edges between bins of motion are {edges}; give ascending ones."
    )
  if motion.shape != values.shape[:1]:
    raise ValueError(
      f"{motion.shape} scores of motion for values {values.shape}."
    )
  place = np.searchsorted(edges, motion, side="right")
  bounds = [None, *edges, None]
  records = []
  for number in range(len(edges) + 1):
    chosen = values[place == number].astype(np.float64)
    records.append(
      {
        "from": bounds[number],
        "below": bounds[number + 1],
        "num_clips": len(chosen),
        "value": float(chosen.mean()) if len(chosen) else None,
      }
    )
  return records


def _registration():
  try:
    from skimage import registration
  except ImportError as error:
    raise errors.UserError(
      "Scores of motion need scikit-image, which is not installed; run: make "
      "install EXTRA=video"
    ) from error
  return registration


def _grey(clip: np.ndarray) -> np.ndarray:
  """(T, H, W) float32 in [0, 1], with the weights of ITU-R BT.709."""
  if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] not in (1, 3):
    raise errors.UserError(
      f"A clip is {clip.dtype} {clip.shape}; motion is scored in uint8 clips "
      "(T, H, W, C) with 1 or 3 channels."
    )
  if len(clip) < 2:
    raise errors.UserError(
      "A clip of 1 frame shows no motion; give clips of 2 frames or more."
    )
  weights = [1.0] if clip.shape[-1] == 1 else [0.2126, 0.7152, 0.0722]
  return (clip @ np.divide(weights, 255)).astype(np.float32)

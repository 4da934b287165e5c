"""The best linear predictor of each frame from the frames just before it.

Every pixel is predicted from a window of w x w pixels around its place, in all
given frames and channels, with the same coefficients at every place: images
are taken to be stationary. Only pixels whose window lies inside the image are
fitted and scored, so that none of them sees an edge.

The normal equations of all pairs (frame, number of given frames) are blocks of
one covariance matrix of all windows, which is summed up once, in float64. The
matrix gets `RIDGE` times its mean variance on the diagonal, which keeps it
regular where frames follow from one another. This acts like noise of that
variance on the given frames: errors far below it cannot be resolved. Frames
that are the same for every image, up to rounding, predict nothing.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from pseudovideo import errors

RIDGE = 1e-9
BLOCK_BYTES = 2**27

Pair = tuple[int, int]
"""(t, k): frame t is predicted from frames t - k .. t - 1."""


def pairs(frames: int) -> list[Pair]:
  """The pairs with k >= 1, in order."""
  return [(t, k) for t in range(1, frames) for k in range(1, t + 1)]


def check_window(window: int, image_shape: tuple[int, int, int]) -> None:
  """Refuses a window that has no centre or does not fit.

  Raises:
    UserError: not an odd number from 1 to the smaller side of the image.
  """
  side = min(image_shape[:2])
  if window < 1 or window % 2 == 0 or window > side:
    raise errors.UserError(
      f"--window must be an odd number of pixels, at most the smaller side of "
      f"the image, {side}; got {window}."
    )


def inner(videos: np.ndarray, window: int) -> np.ndarray:
  """The pixels that are predicted: (..., H - w + 1, W - w + 1, C).

  Args:
    videos: (..., H, W, C).
    window: side w of the windows.
  """
  edge = window // 2
  height, width = videos.shape[-3:-1]
  return videos[..., edge : height - edge, edge : width - edge, :]


def blocks(videos: np.ndarray, window: int) -> Iterator[np.ndarray]:
  """The windows of a few videos at a time.

  Args:
    videos: (N, T, H, W, C) float32.
    window: side w of the windows.

  Yields:
    (n, T C w w) float64, for n places. The columns of frame t begin at t C w w,
    in them the columns of channel c at c w w, row by row.
  """
  view = np.lib.stride_tricks.sliding_window_view
  num, frames, *_, channels = videos.shape
  size = frames * channels * window**2
  places = inner(videos[:1, 0], window)[..., 0].size
  step = max(1, BLOCK_BYTES // (8 * size * places))
  for start in range(0, num, step):
    # (n, T, h, w', C, w, w): places first, then the window of each place.
    cut = view(videos[start : start + step], (window, window), axis=(2, 3))
    moved = cut.transpose(0, 2, 3, 1, 4, 5, 6)
    yield moved.astype(np.float64).reshape(-1, size)


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
  """The predictors of all pairs.

  Attributes:
    window: side w of the windows.
    coefficients: (T C w w, P C) float64, of all pairs side by side in the order
      of `pairs`, zero where a frame is not given.
    intercepts: (P C,) float64.
    centres: (P C,) int, column of the predicted pixel.
    variances: (T,) float64, variance of each frame's pixels around the means of
      their channels: the errors without any earlier frame.
    places: number of windows that the predictors were fitted to.
  """

  window: int
  coefficients: np.ndarray
  intercepts: np.ndarray
  centres: np.ndarray
  variances: np.ndarray
  places: int


def fit(videos: np.ndarray, window: int) -> Linear:
  """Fits all predictors.

  Args:
    videos: (N, T, H, W, C) float32.
    window: side w of the windows, odd.
  """
  frames, channels = videos.shape[1], videos.shape[-1]
  size = channels * window**2
  places, mean, joint = _moments(videos, window)
  middle = np.arange(channels) * window**2 + window**2 // 2
  shape = (frames * size, len(pairs(frames)), channels)
  coefficients, centres = np.zeros(shape), np.zeros(shape[1:], int)
  for i, (t, k) in enumerate(pairs(frames)):
    given = slice((t - k) * size, t * size)
    centres[i] = t * size + middle
    matrix = joint[given, given].copy()
    matrix[np.diag_indices(k * size)] += _ridge(matrix, mean[given])
    coefficients[given, i] = np.linalg.solve(matrix, joint[given, centres[i]])
  coefficients = coefficients.reshape(shape[0], -1)
  centres = centres.reshape(-1)
  own = np.diag(joint).reshape(frames, size)[:, middle]
  return Linear(
    window,
    coefficients,
    mean[centres] - mean @ coefficients,
    centres,
    own.mean(1),
    places,
  )


def _ridge(covariance: np.ndarray, mean: np.ndarray) -> float:
  """The ridge of a covariance, never below its rounding error."""
  variance = np.diag(covariance).mean()
  rounding = 64 * np.finfo(np.float64).eps * np.square(mean).mean()
  return max(RIDGE * variance, rounding, np.finfo(np.float64).tiny)


def _moments(
  videos: np.ndarray, window: int
) -> tuple[int, np.ndarray, np.ndarray]:
  """Number, mean and covariance of all windows."""
  size = videos.shape[1] * videos.shape[-1] * window**2
  places, total, square = 0, np.zeros(size), np.zeros((size, size))
  for block in blocks(videos, window):
    places += len(block)
    total += block.sum(0)
    square += block.T @ block
  mean = total / places
  return places, mean, square / places - np.outer(mean, mean)


def residuals(predictors: Linear, videos: np.ndarray) -> np.ndarray:
  """Frames minus their predictions.

  Args:
    predictors: the result of `fit`.
    videos: (N, T, H, W, C) float32.

  Returns:
    (P, N, H', W', C) float32, pairs in the order of `pairs`.
  """
  num, frames, *_, channels = videos.shape
  shape = inner(videos[:1, 0], predictors.window).shape[1:3]
  found = [
    np.float32(
      block[:, predictors.centres]
      - block @ predictors.coefficients
      - predictors.intercepts
    )
    for block in blocks(videos, predictors.window)
  ]
  whole = np.concatenate(found).reshape(
    num, *shape, len(pairs(frames)), channels
  )
  return np.moveaxis(whole, 3, 0)

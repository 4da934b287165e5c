"""The share of the error that further frames save, with standard errors.

The share that frames beyond the previous one save is

  1 - error(all frames before it) / error(the previous frame),

a ratio of means over held-out images. Both errors are of the same images, so
the standard error is taken of their difference at the measured ratio (delta
method). Where several networks were trained, the variance over them is added.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
  """A number and its standard error."""

  value: float
  error: float


def by_image(errors: np.ndarray, images: np.ndarray) -> np.ndarray:
  """Means over the videos of the same image.

  Args:
    errors: (..., M), errors of videos.
    images: (M,) int 0 .. n - 1, the image of each video.

  Returns:
    (..., n), errors of images, which are independent where videos are not.
  """
  rows = errors.reshape(-1, len(images))
  sums = np.stack([np.bincount(images, weights=row) for row in rows])
  return (sums / np.bincount(images)).reshape(*errors.shape[:-1], -1)


def mean(errors: np.ndarray) -> Estimate:
  """The mean of (S, n) errors: S networks, n images."""
  return _estimate(errors.mean(), errors.mean(0), errors.mean(1))


def saved(frames: Sequence[tuple[np.ndarray, np.ndarray]]) -> Estimate:
  """The mean over frames of the share that is saved.

  Args:
    frames: for each frame its (S, n) errors given the previous frame, and given
      more.
  """
  shares, of_images, of_networks = [], [], []
  for previous, more in frames:
    ratio = more.mean() / previous.mean()
    shares.append(1 - ratio)
    of_images.append((ratio * previous - more).mean(0) / previous.mean())
    of_networks.append(1 - more.mean(1) / previous.mean(1))
  return _estimate(
    np.mean(shares), np.mean(of_images, 0), np.mean(of_networks, 0)
  )


def _estimate(
  value: float, images: np.ndarray, networks: np.ndarray
) -> Estimate:
  """Adds the variances of the means over images and over networks."""
  squares = [x.var(ddof=1) / len(x) for x in (images, networks) if len(x) > 1]
  return Estimate(float(value), float(np.sqrt(sum(squares))))

r"""Peak signal-to-noise ratio, 10 log10(255^2 / mse), in decibels.

A set has two: the mean of its images' ratios, which published tables of
reconstruction show, and the ratio of its mean squared error, which is never
larger (Jensen) and differs by decibels where the images differ.
"""

import numpy as np

from pseudovideo.metrics import pairs

PEAK = 255


def per_image(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
  """The ratio of each image, inf where a pair is equal.

  Args:
    reference: (N, H, W, C) images or (N, T, H, W, C) videos, uint8.
    other: the same.

  Returns:
    (N,) or (N, T) float64, 0 or more.

  Raises:
    UserError: as `pairs.checked` does.
  """
  return _decibels(pairs.map_images(_squared_error, reference, other))


def mean_of_images(reference: np.ndarray, other: np.ndarray) -> float:
  """The mean of `per_image`, inf if any pair of images is equal.

  One perfect image outweighs all others: that is what the average of decibels
  means, and leaving such images out would make a model better for being worse.
  """
  return float(per_image(reference, other).mean())


def of_mean_error(reference: np.ndarray, other: np.ndarray) -> float:
  """The ratio of the squared error's mean over all images and frames.

  It is inf only if all pairs are equal.
  """
  error = pairs.map_images(_squared_error, reference, other).mean()
  return float(_decibels(error))


def _squared_error(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
  return np.square(reference - other).mean((1, 2, 3))


def _decibels(error: np.ndarray) -> np.ndarray:
  with np.errstate(divide="ignore"):
    return 10 * np.log10(PEAK**2 / error)

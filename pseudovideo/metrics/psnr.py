r"""Peak signal-to-noise ratio, 10 log10(255^2 / mse), in decibels.

A set has two ratios: the mean of its images' ratios, which published tables of
reconstruction show, and the ratio of its mean squared error, which is never
larger (Jensen) and differs by decibels where the images differ.
"""

import numpy as np
from jaxtyping import Float64, Shaped

from pseudovideo.metrics import pairs

PEAK = 255


def per_image(
  reference: Shaped[np.ndarray, "..."], other: Shaped[np.ndarray, "..."]
) -> Float64[np.ndarray, "..."]:
  """The ratio of each image, inf where a pair is equal.

  Args:
    reference: (N, H, W, C) images or (N, T, H, W, C) videos, uint8.
    other: uint8 of that shape.

  Returns:
    (N,) or (N, T) float64, 0 or more.

  Raises:
    UserError: other types, shapes or dimensions, see `pairs.checked`.
  """
  error = pairs.map_images(_squared_error, reference, other)
  with np.errstate(divide="ignore"):
    return 10 * np.log10(PEAK**2 / error)


def _squared_error(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
  return np.square(reference - other).mean((1, 2, 3))

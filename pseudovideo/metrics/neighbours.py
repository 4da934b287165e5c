"""Distance to the nearest training image, which shows copying.

A model that copies its training images has a mean distance well below that of
the held-out images, whatever its other scores.
"""

import numpy as np


def nearest_distances(
  images: np.ndarray, training: np.ndarray, *, block: int = 1024
) -> np.ndarray:
  """Euclidean distance from each image to its nearest training image.

  Memory is bounded by `block`: about block * (block + 2 H W C) float64.

  Args:
    images: (N, H, W, C) uint8.
    training: (M, H, W, C) uint8, M >= 1.
    block: images compared at once, on either side.

  Returns:
    (N,) float64: sqrt of the sum over pixels and channels of squared
    differences, with pixels in [0, 1]. Exactly 0 for a copy.

  Raises:
    ValueError: other types, shapes that do not fit, or no training image.
  """
  for array in (images, training):
    if array.dtype != np.uint8 or array.ndim != 4:
      raise ValueError(
        f"Images are uint8 (N, H, W, C); got {array.dtype} {array.shape}."
      )
  if images.shape[1:] != training.shape[1:] or not len(training):
    raise ValueError(
      f"Images of shape {images.shape[1:]} cannot be compared with "
      f"{len(training)} training images of shape {training.shape[1:]}."
    )
  nearest = np.full(len(images), np.inf)
  for row in range(0, len(images), block):
    rows = slice(row, row + block)
    queries, query_norms = _flat(images[rows])
    for column in range(0, len(training), block):
      others, other_norms = _flat(training[column : column + block])
      squared = query_norms[:, None] + other_norms - 2 * queries @ others.T
      nearest[rows] = np.minimum(nearest[rows], squared.min(1))
  return np.sqrt(nearest) / 255


def _flat(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Rows of grey levels 0..255 and their squared norms.

  They stay integers, which float64 sums exactly; pixels in [0, 1] are rounded,
  and the distance of a copy would not be zero.
  """
  rows = images.reshape(len(images), -1).astype(np.float64)
  return rows, np.einsum("nd,nd->n", rows, rows)

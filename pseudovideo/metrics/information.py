r"""Information preservation degree (IV-VAE, Wu et al. 2024, Eq. 2).

  1 - \sum |x - x'| / \sum |x|

over all pixels of all images of the set: a ratio of sums, not a mean of ratios.
The value depends on the range of the pixels, which the paper does not state.
Here it is [0, 1]; on [-1, 1] a grey set would be divided by zero.
"""

import numpy as np
from jaxtyping import Float64, Shaped

from pseudovideo import errors
from pseudovideo.metrics import pairs


def preservation_degree(
  reference: Shaped[np.ndarray, "..."], other: Shaped[np.ndarray, "..."]
) -> float:
  """The degree of the module docstring, whose factor of 1/255 cancels.

  Args:
    reference: (N, H, W, C) images or (N, T, H, W, C) videos, uint8; x.
    other: uint8 of that shape; x'.

  Returns:
    1 for equal sets, 0 for one that is black; it may be negative.

  Raises:
    UserError: the reference is all black, or other types, shapes or dimensions,
      see `pairs.checked`.
  """
  return degree(*sums(reference, other).sum(0))


def sums(
  reference: Shaped[np.ndarray, "..."], other: Shaped[np.ndarray, "..."]
) -> Float64[np.ndarray, "N 2"]:
  """The two sums in the degree, for sets that are read in blocks.

  Args:
    reference: (N, H, W, C) images or (N, T, H, W, C) videos, uint8; x.
    other: uint8 of that shape; x'.

  Returns:
    (N, 2) float64: sums of |x - x'| and of |x|, in grey levels, of each image
    or video.
  """
  lost = pairs.map_images(_distance, reference, other)
  whole = pairs.map_images(_distance, reference, np.zeros_like(reference))
  both = np.stack([lost, whole], -1)
  return both.reshape(len(both), -1, 2).sum(1)


def degree(lost: float, whole: float) -> float:
  """The degree 1 - lost / whole of a set.

  Args:
    lost: the sum of |x - x'| over the set.
    whole: the sum of |x| over the set.

  Raises:
    UserError: `whole` is 0.
  """
  if not whole:
    raise errors.UserError(
      "The reference is all black, of which no part can be preserved; give "
      "images with light in them."
    )
  return float(1 - lost / whole)


def _distance(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
  return np.abs(reference - other).sum((1, 2, 3))

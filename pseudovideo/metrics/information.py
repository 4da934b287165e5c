r"""Information preservation degree (IV-VAE, Wu et al. 2024, Eq. 2).

  1 - \sum |x - x'| / \sum |x|

over all pixels of all images of the set: a ratio of sums, not a mean of ratios.
The value depends on the range of the pixels, which the paper does not state.
Here it is [0, 1]; on [-1, 1] a grey set would be divided by zero.
"""

import numpy as np

from pseudovideo import errors
from pseudovideo.metrics import pairs


def preservation_degree(reference: np.ndarray, other: np.ndarray) -> float:
  """The degree of the module docstring, whose factor of 1/255 cancels.

  Args:
    reference: (N, H, W, C) images or (N, T, H, W, C) videos, uint8; x.
    other: the same; x'.

  Returns:
    1 for equal sets, 0 for one that is black; it may be negative.

  Raises:
    UserError: the reference is all black, or as `pairs.checked` does.
  """
  lost = pairs.map_images(_distance, reference, other).sum()
  whole = pairs.map_images(_distance, reference, np.zeros_like(reference)).sum()
  if not whole:
    raise errors.UserError(
      f"The reference of shape {np.shape(reference)} is all black, of which "
      "no part can be preserved; give images with light in them."
    )
  return float(1 - lost / whole)


def _distance(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
  return np.abs(reference - other).sum((1, 2, 3))

"""Pairs of images or videos, a reference and another, for scores of each."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Shaped, UInt8

from pseudovideo import errors

# Numbers in float64 at a time: 8 MB, unless one image has more.
BLOCK = 2**20


Arrays = tuple[
  UInt8[np.ndarray, "*batch H W C"], UInt8[np.ndarray, "*batch H W C"]
]


def checked(
  reference: Shaped[np.ndarray, "..."], other: Shaped[np.ndarray, "..."]
) -> Arrays:
  """Checks that two arrays can be compared; returns both.

  Args:
    reference: (N, H, W, C) images or (N, T, H, W, C) videos, uint8.
    other: uint8 of that shape.

  Raises:
    UserError: other types or dimensions, unequal shapes, or no image.
  """
  if not reference.dtype == other.dtype == np.uint8:
    raise errors.UserError(
      f"Pairs of images have the types {reference.dtype} and {other.dtype}; "
      "uint8 from 0 to 255 is expected, so scale and round them before."
    )
  shapes = f"{reference.shape} and {other.shape}"
  if reference.shape != other.shape or reference.ndim not in (4, 5):
    raise errors.UserError(
      f"Pairs of images have the shapes {shapes}; give two equal ones, (N, H, "
      "W, C) of images or (N, T, H, W, C) of videos."
    )
  if not reference.size:
    raise errors.UserError(
      f"Pairs of images have the shapes {shapes} without a pixel; give at "
      "least one image."
    )
  return reference, other


def map_images(
  function: Callable[[np.ndarray, np.ndarray], np.ndarray],
  reference: Shaped[np.ndarray, "..."],
  other: Shaped[np.ndarray, "..."],
) -> Float64[np.ndarray, "..."]:
  """Values of pairs of images, a block of images at a time.

  Args:
    function: from two (B, H, W, C) float64 arrays, 0 to 255, to (B,) float64.
    reference: (N, H, W, C) images or (N, T, H, W, C) videos, uint8.
    other: uint8 of that shape.

  Returns:
    (N,) float64 for images, (N, T) for the frames of videos.

  Raises:
    UserError: other types, shapes or dimensions, see `checked`.
  """
  reference, other = checked(reference, other)
  image = reference.shape[-3:]
  flat = [array.reshape(-1, *image) for array in (reference, other)]
  step = max(1, BLOCK // int(np.prod(image)))
  values = [
    function(*(array[i : i + step].astype(np.float64) for array in flat))
    for i in range(0, len(flat[0]), step)
  ]
  return np.concatenate(values).reshape(reference.shape[:-3])

"""Film strips of the pseudo videos that an augmentation makes."""

import jax
import numpy as np

from pseudovideo import augmentations, pixels
from pseudovideo.report import drawing

RANGE = (-1.0, 1.0)


def pseudo_videos(
  augmentation: augmentations.Augmentation,
  images: np.ndarray,
  key: jax.Array,
) -> np.ndarray:
  """The film strip of some images, the images marked in the last column.

  Noise beyond the range of pixel values is clipped.

  Args:
    augmentation: one of `pseudovideo.augmentations`, or alike.
    images: (N, H, W, C) uint8.
    key: PRNG key, for all images.

  Returns:
    (H', W', 3) uint8.
  """
  floats = pixels.to_float(jax.numpy.asarray(images), RANGE)
  video = jax.jit(augmentation)(floats, key=key)
  return drawing.film_strip(pixels.to_uint8(video, RANGE))

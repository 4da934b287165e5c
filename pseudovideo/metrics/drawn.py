"""The data as they are scored: binarized data by one draw for all scores."""

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import keys, pixels


def binarized(images: np.ndarray, how: str, split: str) -> np.ndarray:
  """The images of a split, binarized by one draw that never changes.

  Args:
    images: (N, H, W, C) uint8.
    how: one of `pixels.BINARIZE`.
    split: `train` or `test`, which are drawn independently.
  """
  if how == "none":
    return images
  key = keys.named(jax.random.key(0), split)
  return np.asarray(pixels.binarize(jnp.asarray(images), how, key=key))

"""What every data set looks like to the rest of the package."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
  """Images and labels of two splits, in host memory or memory-mapped.

  Attributes:
    name: the name that `pseudovideo.data.load` was given.
    train_images: (N, H, W, C) uint8, read-only.
    train_labels: (N,) int32 in 0 .. num_classes - 1, or None.
    test_images: (M, H, W, C) uint8, read-only; never trained on.
    test_labels: (M,) int32, or None.
    num_classes: number of classes, or None where there are no labels.
    source: one sentence on where the images come from.
    fingerprint: SHA-256 (hexadecimal) of the arrays: equal on every machine
      that holds the same images in the same order.
  """

  name: str
  train_images: np.ndarray
  train_labels: np.ndarray | None
  test_images: np.ndarray
  test_labels: np.ndarray | None
  num_classes: int | None
  source: str
  fingerprint: str

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C)."""
    return self.train_images.shape[1:]


def spread(images: np.ndarray, num: int) -> np.ndarray:
  """`num` images at even distances: sets may be sorted by class."""
  picked = np.linspace(0, len(images) - 1, min(num, len(images)))
  return np.asarray(images[picked.astype(int)])

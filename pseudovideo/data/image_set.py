"""The form that every data set has for the rest of the package."""

import dataclasses
import hashlib
import math
import os
from collections.abc import Collection, Sequence

import numpy as np
from absl import logging


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
  """Images and labels of two splits, in host memory or memory-mapped.

  In a set of videos each image is a clip, (T, H, W, C), in the order of time;
  `last_frames` makes it a set of images.

  Attributes:
    name: the name that `pseudovideo.data.load` was given.
    train_images: (N, H, W, C) uint8, read-only.
    train_labels: (N,) int32 in 0 .. num_classes - 1, or None.
    test_images: (M, H, W, C) uint8, read-only; never trained on.
    test_labels: (M,) int32, or None.
    num_classes: number of classes, or None where there are no labels.
    source: sentence on the origin of the images.
    fingerprint: SHA-256 (hexadecimal) of the arrays: equal on every machine
      that holds these images in this order.
    held_out_names: relative POSIX paths of the held-out files, in order, where
      the rule chose them; None where the split was given. Names that are not
      UTF-8 have surrogates, see `os.fsdecode`.
  """

  name: str
  train_images: np.ndarray
  train_labels: np.ndarray | None
  test_images: np.ndarray
  test_labels: np.ndarray | None
  num_classes: int | None
  source: str
  fingerprint: str
  held_out_names: tuple[str, ...] | None = None

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C) of images, or of the frames of clips."""
    return self.train_images.shape[-3:]


def spread(images: np.ndarray, num: int) -> np.ndarray:
  """Picks `num` images at even distances: sets may be sorted by class."""
  picked = np.linspace(0, len(images) - 1, min(num, len(images)))
  return np.asarray(images[picked.astype(int)])


def last_frames(image_set: ImageSet) -> ImageSet:
  """Makes a set of images of a set of clips: their last frames."""
  if image_set.train_images.ndim == 4:
    return image_set
  return dataclasses.replace(
    image_set,
    train_images=last_frame_of(image_set.train_images),
    test_images=last_frame_of(image_set.test_images),
    fingerprint=derived(image_set.fingerprint, "last frames"),
  )


def last_frame_of(images: np.ndarray) -> np.ndarray:
  """Takes the last frames of clips (N, T, H, W, C); images stay as they are."""
  return images if images.ndim == 4 else images[:, -1]


def derived(fingerprint: str, what: str) -> str:
  """Makes the fingerprint of arrays that follow from others as `what` says."""
  return hashlib.sha256(f"{what} of {fingerprint}".encode()).hexdigest()


def held_out(names: Sequence[str]) -> set[str]:
  """Chooses a tenth of the names, rounded up: the smallest by SHA-256."""

  def rank(name: str) -> bytes:
    return hashlib.sha256(os.fsencode(name)).digest()

  return set(sorted(names, key=rank)[: math.ceil(len(names) / 10)])


def split(names: Sequence[str], earlier: Collection[str] | None) -> set[str]:
  """Chooses the names that are held out.

  Args:
    names: names of at least two images or videos.
    earlier: the names that were held out before. Those that still exist are
      held out, so that what is added is trained on. The rule of `held_out`
      decides if it is None, or if fewer exist than scores need, which is two.
  """
  if not earlier:
    return held_out(names)
  kept, ruled = set(earlier) & set(names), held_out(names)
  if min(2, len(ruled)) <= len(kept) < len(names):
    if len(kept) != len(ruled):
      logging.info(
        "%d of %d are held out, which were held out before.",
        len(kept),
        len(names),
      )
    return kept
  logging.warning(
    "Of the %d names that were held out before, %d exist among %d: a tenth is "
    "chosen anew.",
    len(set(earlier)),
    len(kept),
    len(names),
  )
  return ruled

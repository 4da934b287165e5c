"""The 1,797 real 8x8 digits that come with scikit-learn; nothing to download.

Grey values 0..16 become uint8 round(v * 255 / 16). The split is stratified:
360 images are held out, each class in proportion to its size.
"""

import numpy as np

from pseudovideo.data import cache, named
from pseudovideo.data.image_set import ImageSet

HELD_OUT = 360
# Part of the definition of the split: never change it.
SEED = 20_241


def load() -> ImageSet:
  """Loads the digits, 1,437 to train on and 360 held out, in their order.

  Returns:
    (N, 8, 8, 1) images and labels 0..9.
  """
  from sklearn.datasets import load_digits

  digits = load_digits()
  images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
  labels = digits.target.astype(np.int32)
  test = held_out(labels, HELD_OUT)
  arrays = {
    "train_images": images[~test],
    "train_labels": labels[~test],
    "test_images": images[test],
    "test_labels": labels[test],
  }
  for array in arrays.values():
    array.flags.writeable = False
  return ImageSet(
    name="digits",
    num_classes=named.FACTS["digits"].classes,
    source=(
      "1,797 handwritten 8x8 digits (UCI ML optdigits, its test part) through "
      "scikit-learn."
    ),
    fingerprint=cache.fingerprint(arrays),
    **arrays,
  )


def held_out(labels: np.ndarray, num: int) -> np.ndarray:
  """Marks `num` images, from each class in proportion to its size.

  The shares are rounded by the largest remainder. Within a class the choice
  follows raw Philox output, which NumPy guarantees never to change (its
  `permutation` may).

  Args:
    labels: (N,) integers.
    num: number of marks, at most N.

  Returns:
    (N,) bool.
  """
  classes, sizes = np.unique(labels, return_counts=True)
  shares = num * sizes / len(labels)
  counts = np.floor(shares).astype(int)
  by_remainder = np.argsort(counts - shares, kind="stable")
  counts[by_remainder[: num - counts.sum()]] += 1
  marks = np.zeros(len(labels), bool)
  for label, count in zip(classes, counts, strict=True):
    members = np.flatnonzero(labels == label)
    draws = np.random.Philox(key=[SEED, int(label)]).random_raw(len(members))
    marks[members[np.argsort(draws, kind="stable")[:count]]] = True
  return marks

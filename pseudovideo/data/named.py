"""The data sets that have a name of their own: their facts, and who reads them.

Configs choose their sizes by these facts before anything is read. To add a set,
write a loader and an entry here.
"""

import dataclasses
import functools
from collections.abc import Callable

from pseudovideo.data import digits, tfds_sets
from pseudovideo.data.image_set import ImageSet


@dataclasses.dataclass(frozen=True)
class Facts:
  """The facts of a data set that are known before it is read.

  Attributes:
    image_shape: (H, W, C).
    classes: number of classes of the labels; None if there are no labels.
  """

  image_shape: tuple[int, int, int]
  classes: int | None = None

  @property
  def is_tiny(self) -> bool:
    """True if sides are below 16 pixels."""
    return min(self.image_shape[:2]) < 16

  @property
  def is_grey(self) -> bool:
    """True if images have one channel and sides of 16 pixels or more."""
    return self.image_shape[-1] == 1 and not self.is_tiny

  @property
  def is_large(self) -> bool:
    """True if sides are 64 pixels or more."""
    return min(self.image_shape[:2]) >= 64


def _tfds(name: str, path: str, data_dir: str | None) -> ImageSet:
  del path
  return tfds_sets.load(name, data_dir)


FACTS = {
  "digits": Facts((8, 8, 1), classes=10),
  "mnist": Facts((28, 28, 1), classes=10),
  "cifar10": Facts((32, 32, 3), classes=10),
  "celeb_a": Facts((64, 64, 3)),
}
LOADERS: dict[str, Callable[..., ImageSet]] = {
  "digits": lambda path, data_dir: digits.load(),
  **{
    name: functools.partial(_tfds, name)
    for name in ("mnist", "cifar10", "celeb_a")
  },
}
# What configs take a set for whose facts are known only when it is read: sizes
# of networks alone depend on it, never the channels of images.
UNKNOWN = Facts((32, 32, 3))


def facts(name: str) -> Facts:
  """The facts of a data set; `UNKNOWN` for a folder or a user's own set."""
  return FACTS.get(name, UNKNOWN)

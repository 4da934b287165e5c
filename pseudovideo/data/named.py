"""Facts about data sets before they are read, from one table and their names.

Configs choose sizes of networks by it. To add a set, enter its facts here and
its loader in `data.SETS`.
"""

import dataclasses
import os
import pathlib

from pseudovideo.data import folder, image_files, video_folder


@dataclasses.dataclass(frozen=True)
class Facts:
  """The facts of a data set.

  Attributes:
    image_shape: (H, W, C) of an image, or of each frame of a clip.
    classes: number of classes of the labels; None if there are no labels.
    frames: T for clips; None for images.
    title: name of the set in prose.
    scaled: whether images are scaled to `image_shape` when they are read.
  """

  image_shape: tuple[int, int, int]
  classes: int | None = None
  frames: int | None = None
  title: str = ""
  scaled: bool = False

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


FACTS = {
  "digits": Facts((8, 8, 1), classes=10),
  "mnist": Facts((28, 28, 1), classes=10, title="MNIST"),
  "cifar10": Facts((32, 32, 3), classes=10, title="CIFAR-10"),
  "celeb_a": Facts((64, 64, 3), title="CelebA 64x64", scaled=True),
}
# Sides and channels where nothing is known: only the sizes of networks depend
# on them, never the channels of images.
UNKNOWN = Facts((32, 32, 3))


def facts(name: str) -> Facts:
  """The facts of a data set, from the table or from the name itself.

  Of a folder on this machine whose images are not scaled, an image says the
  size.

  Raises:
    UserError: the name of a folder is written in another way.
  """
  kind, _, argument = name.partition(":")
  if kind == "videos":
    _, cut = video_folder.parse(argument)
    return Facts((cut.side, cut.side, 3), frames=cut.frames)
  if kind == "folder":
    return _facts_of_folder(argument)
  return FACTS.get(name, UNKNOWN)


def _facts_of_folder(argument: str) -> Facts:
  path, side = folder.split_size(argument)
  size = (side, side) if side else None
  if size is None and path:
    root = pathlib.Path(os.path.expanduser(path))
    size = image_files.size_of_one(root)
  if size is None:
    return UNKNOWN
  return Facts((size[1], size[0], UNKNOWN.image_shape[-1]))

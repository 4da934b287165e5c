"""Data sets: a name in, uint8 images and labels out.

May import `files` and small things.
"""

import os
from collections.abc import Callable

from pseudovideo import errors
from pseudovideo.data import folder, named, video_folder
from pseudovideo.data.image_set import (
  ImageSet,
  last_frame_of,
  last_frames,
  spread,
)

__all__ = [
  "CLIP_SETS",
  "SETS",
  "ImageSet",
  "clip_frames",
  "last_frame_of",
  "last_frames",
  "load",
  "spread",
]

# Each entry is given the text after the colon of the name, and `data_dir`.
SETS: dict[str, Callable[..., ImageSet]] = {
  **named.LOADERS,
  "folder": lambda path, data_dir: folder.load(path),
}
# Sets whose images are clips, for the tasks that learn from them.
CLIP_SETS: dict[str, Callable[..., ImageSet]] = {
  "videos": lambda path, data_dir: video_folder.load(path)
}
_WITH_PATH = ("folder", *CLIP_SETS)


def load(name: str, *, data_dir: str | os.PathLike | None = None) -> ImageSet:
  """The data set of that name, decoded; a second call reads a cache.

  Args:
    name: `digits`, `mnist`, `cifar10`, `celeb_a`, or `folder:PATH` for the
      images below a folder; `folder:PATH?size=32` scales and crops each of
      them to 32x32. `videos:PATH?size=32&frames=9` for clips of the videos
      below a folder, see `video_folder`.
    data_dir: where the TFDS sets (`mnist`, `cifar10`, `celeb_a`) are. By
      default $PSEUDOVIDEO_DATA_DIR, else $TFDS_DATA_DIR, else
      ~/tensorflow_datasets.

  Raises:
    UserError: an unknown name, a set that is not on this machine, images that
      cannot be read or differ in size.
  """
  kind, colon, path = name.partition(":")
  loader = errors.look_up("data set", kind, SETS | CLIP_SETS)
  if colon and kind not in _WITH_PATH:
    raise errors.UserError(
      f"The data set {name!r} has a colon, which only `folder:PATH` and "
      f"`videos:PATH` may have; write {kind!r}."
    )
  return loader(path, data_dir)


def clip_frames(name: str) -> int | None:
  """T of a data set of clips, as its name says it; None of one of images.

  Raises:
    UserError: the name is of clips and does not say it.
  """
  kind, _, path = name.partition(":")
  return video_folder.parse(path)[1].frames if kind in CLIP_SETS else None

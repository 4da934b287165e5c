"""Data sets: a name in, uint8 images and labels out.

May import `files` and small things.
"""

import functools
import os
from collections.abc import Callable, Collection

from pseudovideo import errors
from pseudovideo.data import (
  digits,
  folder,
  named,
  plain,
  tfds_sets,
  video_folder,
)
from pseudovideo.data.image_set import (
  ImageSet,
  last_frame_of,
  last_frames,
  spread,
)
from pseudovideo.data.named import FACTS, Facts

__all__ = [
  "CLIP_SETS",
  "FACTS",
  "SETS",
  "Facts",
  "ImageSet",
  "clip_frames",
  "last_frame_of",
  "last_frames",
  "load",
  "spread",
]


def _tfds(name: str, path: str, data_dir: str | None) -> ImageSet:
  del path
  return tfds_sets.load(name, data_dir)


# Each entry is given the text after the colon of the name, and `data_dir`;
# those of folders `held_out` and `background` too.
SETS: dict[str, Callable[..., ImageSet]] = {
  "digits": lambda path, data_dir: digits.load(),
  **{name: functools.partial(_tfds, name) for name in tfds_sets.NAMES},
  "folder": lambda path, data_dir, **how: folder.load(path, **how),
}
# Sets whose images are clips, for the tasks that learn from them.
CLIP_SETS: dict[str, Callable[..., ImageSet]] = {
  "videos": lambda path, data_dir, **how: video_folder.load(path, **how)
}
_WITH_PATH = ("folder", *CLIP_SETS)


def load(
  name: str,
  *,
  data_dir: str | os.PathLike | None = None,
  held_out: Collection[str] | None = None,
  background: str = "white",
) -> ImageSet:
  """The data set of that name, decoded; a second call reads a cache.

  Args:
    name: `digits`, `mnist`, `cifar10`, `celeb_a`, or `folder:PATH` for the
      images below a folder; `folder:PATH?size=32` scales and crops each of
      them to 32x32. `videos:PATH?size=32&frames=9` for clips of the videos
      below a folder, see `video_folder`.
    data_dir: where the TFDS sets (`mnist`, `cifar10`, `celeb_a`) are. By
      default $PSEUDOVIDEO_DATA_DIR, else $TFDS_DATA_DIR, else
      ~/tensorflow_datasets.
    held_out: names that an earlier load held out, `ImageSet.held_out_names`.
      Those that still exist are held out and all others are trained on, so
      that a split stays what it was when images are added. Without any of them
      the rule applies anew, with a warning. Ignored where folders are the
      split, and for sets that are no folder.
    background: colour that transparent pixels of a folder's images show, a
      name or `#rrggbb`.

  Raises:
    UserError: an unknown name or colour, a set that is not on this machine,
      images that cannot be read or differ in size.
  """
  kind, colon, path = name.partition(":")
  loader = errors.look_up("data set", kind, SETS | CLIP_SETS)
  if colon and kind not in _WITH_PATH:
    raise errors.UserError(
      f"The data set {name!r} has a colon, which only `folder:PATH` and "
      f"`videos:PATH` may have; write {kind!r}."
    )
  colour = plain.colour(background)
  if kind not in _WITH_PATH:
    return loader(path, data_dir)
  return loader(path, data_dir, held_out=held_out, background=colour)


def clip_frames(name: str) -> int | None:
  """The frames T of a data set of clips, from its name; None for images.

  Raises:
    UserError: the name is of clips and does not give T.
  """
  return named.facts(name).frames

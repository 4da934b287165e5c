"""Any folder of images as a data set.

`folder:PATH` takes every png, jpg, jpeg, webp and bmp below PATH, sorted by its
path relative to PATH. If PATH has sub-folders `train` and `test` they are the
splits, and if every image of both lies in a sub-folder of its split, these
sub-folders are the classes. Otherwise a tenth of the images is held out: the
images whose relative paths have the smallest SHA-256.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Collection, Sequence

import numpy as np
from absl import logging

from pseudovideo import errors
from pseudovideo.data import cache, decoding, image_set, plain
from pseudovideo.data.image_set import ImageSet
from pseudovideo.files import untrusted

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SYNTAX = "`folder:PATH` or `folder:PATH?size=32`"


@dataclasses.dataclass(frozen=True)
class _Split:
  files: list[pathlib.Path]
  labels: list[int] | None


def load(
  argument: str,
  held_out: Collection[str] | None = None,
  background: plain.Colour = plain.WHITE,
) -> ImageSet:
  """Loads the images below a folder.

  Args:
    argument: `PATH`, or `PATH?size=32` to scale and crop every image to 32x32
      as `decoding.square` does.
    held_out: names that were held out earlier, see `image_set.split`.
    background: what transparent pixels show.

  Raises:
    UserError: no such folder, too few images, a broken image, or images of
      different sizes.
  """
  root, side = parse(argument)
  files = list_images(root)
  splits, classes, given = _split(root, files, held_out)
  names = [_relative(root, path) for path in splits["test"].files]
  made_from = {"side": side, "files": cache.stamps(root, files)}
  if background != plain.WHITE:
    made_from["background"] = background
  if not given and set(names) != image_set.held_out(_names(root, files)):
    made_from["held_out"] = names
  arrays, fingerprint = cache.load(
    "folder",
    made_from,
    lambda new_array: _build(splits, side, background, new_array),
  )
  count = sum(len(split.files) for split in splits.values())
  return ImageSet(
    name=f"folder:{argument}",
    train_images=arrays["train_images"],
    train_labels=arrays.get("train_labels"),
    test_images=arrays["test_images"],
    test_labels=arrays.get("test_labels"),
    num_classes=len(classes) if classes else None,
    source=f"{count:,} images in {root}.",
    fingerprint=fingerprint,
    held_out_names=None if given else tuple(names),
  )


def parse(argument: str) -> tuple[pathlib.Path, int | None]:
  """Parses `PATH` or `PATH?size=32` into the folder, and the size or None."""
  path, size = split_size(argument)
  root = pathlib.Path(os.path.expanduser(path))
  if not path or not root.is_dir():
    raise errors.UserError(
      f"'folder:{argument}' names no folder that exists; write {SYNTAX}."
    )
  return root, size


def split_size(argument: str) -> tuple[str, int | None]:
  """Splits `PATH` or `PATH?size=32`, whether or not there is such a folder."""
  path, question, size = argument.partition("?size=")
  if question and not re.fullmatch(r"0*[1-9]\d{0,5}", size, re.ASCII):
    raise errors.UserError(
      f"The size {size!r} in 'folder:{argument}' is not a positive number of "
      f"pixels; write {SYNTAX}."
    )
  return path, int(size) if question else None


def list_images(root: pathlib.Path) -> list[pathlib.Path]:
  """Lists the images below `root` by relative path, without hidden ones.

  Raises:
    UserError: a file is a pipe, a device, a link to nothing, or may not be
      read.
  """
  files = []
  for folder, subfolders, names in os.walk(root):
    subfolders[:] = [name for name in subfolders if not name.startswith(".")]
    files += [
      pathlib.Path(folder, name)
      for name in names
      if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
  for path in files:
    untrusted.check(path)
  return sorted(files, key=lambda path: _relative(root, path))


def _relative(root: pathlib.Path, path: pathlib.Path) -> str:
  return path.relative_to(root).as_posix()


def _names(root: pathlib.Path, files: Sequence[pathlib.Path]) -> list[str]:
  return [_relative(root, path) for path in files]


def _split(
  root: pathlib.Path,
  files: Sequence[pathlib.Path],
  held_out: Collection[str] | None,
) -> tuple[dict[str, _Split], list[str], bool]:
  """The two splits, the classes (or an empty list), whether folders say it."""
  if (root / "train").is_dir() and (root / "test").is_dir():
    return *_given_split(root, files), True
  if len(files) < 2:
    raise errors.UserError(
      f"There are {len(files)} images in {root}; at least 2 are needed, "
      f"with one of the endings {', '.join(SUFFIXES)}."
    )
  names = image_set.split(_names(root, files), held_out)
  train = [path for path in files if _relative(root, path) not in names]
  test = [path for path in files if _relative(root, path) in names]
  return {"train": _Split(train, None), "test": _Split(test, None)}, [], False


def _given_split(
  root: pathlib.Path, files: Sequence[pathlib.Path]
) -> tuple[dict[str, _Split], list[str]]:
  parts = {path: path.relative_to(root).parts for path in files}
  members = {
    split: [path for path in files if parts[path][0] == split]
    for split in ("train", "test")
  }
  for split, paths in members.items():
    if not paths:
      raise errors.UserError(
        f"There are no images in {root / split}; put some there, with one of "
        f"the endings {', '.join(SUFFIXES)}."
      )
  used = sum(len(paths) for paths in members.values())
  if used < len(files):
    logging.warning(
      "%d of the %d images in %s are neither in train nor in test: left out.",
      len(files) - used,
      len(files),
      root,
    )
  if any(len(parts[path]) < 3 for paths in members.values() for path in paths):
    return {s: _Split(paths, None) for s, paths in members.items()}, []
  classes = sorted({parts[path][1] for path in members["train"]})
  for path in members["test"]:
    if parts[path][1] not in classes:
      raise errors.UserError(
        f"{path} is of a class that {root / 'train'} does not have; its "
        f"classes are {', '.join(classes)}."
      )
  return {
    split: _Split(paths, [classes.index(parts[path][1]) for path in paths])
    for split, paths in members.items()
  }, classes


def _build(
  splits: dict[str, _Split],
  side: int | None,
  background: plain.Colour,
  new_array: cache.NewArray,
) -> None:
  files = [path for split in splits.values() for path in split.files]
  shape = common_shape(files, side)
  for name, split in splits.items():
    images = new_array(f"{name}_images", (len(split.files), *shape))
    _decode(split.files, images, side, background, f"decoding {name}")
    if split.labels is not None:
      labels = new_array(f"{name}_labels", (len(split.files),), np.int32)
      labels[:] = split.labels


def _decode(
  files: Sequence[pathlib.Path],
  images: np.ndarray,
  side: int | None,
  background: plain.Colour,
  title: str,
) -> None:
  def work(start: int, stop: int) -> None:
    for i in range(start, stop):
      with decoding.opened(files[i], str(files[i])) as image:
        images[i] = decoding.to_array(image, images.shape[-1], side, background)

  decoding.in_blocks(work, len(files), title)


def common_shape(
  files: Sequence[pathlib.Path], side: int | None
) -> tuple[int, int, int]:
  """(H, W, C) of all the images, from their headers; C = 1 if all are grey."""
  sizes = np.zeros((len(files), 2), int)
  grey = np.zeros(len(files), bool)

  def work(start: int, stop: int) -> None:
    for i in range(start, stop):
      with decoding.opened(files[i], str(files[i])) as image:
        sizes[i] = image.size
        grey[i] = image.mode in decoding.GREY_MODES

  decoding.in_blocks(work, len(files), "looking at images")
  channels = 1 if grey.all() else 3
  if side is not None:
    small = np.flatnonzero(sizes.min(1) < side)
    if small.size:
      width, height = sizes[small[0]]
      raise errors.UserError(
        f"{files[small[0]]} is {width}x{height}, smaller than the asked size "
        f"{side}; ask for a smaller size or remove it."
      )
    return side, side, channels
  width, height = sizes[0]
  other = np.flatnonzero((sizes != sizes[0]).any(1))
  if other.size:
    raise errors.UserError(
      f"All images must have one size, but {files[0]} is {width}x{height} and "
      f"{files[other[0]]} is {sizes[other[0]][0]}x{sizes[other[0]][1]}; scale "
      f"and crop them all with `folder:PATH?size={min(sizes.min(), 64)}`."
    )
  return int(height), int(width), channels

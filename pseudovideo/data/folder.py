"""Any folder of images as a data set.

`folder:PATH` takes every png, jpg, jpeg, webp, bmp, gif, tif and tiff below
PATH, sorted by its path relative to PATH; of several images in a file, the
first. They are made upright, opaque and 8 bits deep, see `plain`. The split is
by sub-folders such as `train` and `test` or by a rule, see `splits`. If every
image of given splits lies in a sub-folder of its split, these sub-folders are
the classes, whatever the case of their names.
"""

import os
import pathlib
import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from absl import logging

from pseudovideo import errors
from pseudovideo.data import (
  cache,
  copies,
  image_files,
  image_set,
  plain,
  splits,
)
from pseudovideo.data.faults import shown
from pseudovideo.data.image_set import ImageSet

SYNTAX = "`folder:PATH` or `folder:PATH?size=32`"
# Raise it when other pixels come of the same files.
DECODING = 2


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
    UserError: no such folder, too few images, broken images, or images of
      different sizes.
  """
  root, side = parse(argument)
  found = image_files.find(root)
  paths = {path.relative_to(root).as_posix(): path for path in found}
  split = splits.choose(root, list(paths), held_out, "images", _needs())
  labels, classes = _labels(root, split)
  made_from = _made_from(root, paths, split, side, background)
  _say_if_shared(root, split, made_from["files"])

  def build(new_array: cache.NewArray) -> None:
    files = [paths[name] for name in split.train + split.test]
    shape = image_files.common_shape(root, files, side, background)
    count = len(split.train)
    train = new_array("train_images", (count, *shape))
    test = new_array("test_images", (len(split.test), *shape))

    def row(place: int) -> np.ndarray:
      return train[place] if place < count else test[place - count]

    image_files.decode(root, files, row, side, background)
    for part, numbers in labels.items():
      array = new_array(f"{part}_labels", (len(numbers),), np.int32)
      array[:] = numbers

  arrays, fingerprint = cache.load(
    "folder", made_from, build, about=copies.about(root, made_from)
  )
  count = len(split.train) + len(split.test)
  return ImageSet(
    name=f"folder:{argument}",
    train_images=arrays["train_images"],
    train_labels=arrays.get("train_labels"),
    test_images=arrays["test_images"],
    test_labels=arrays.get("test_labels"),
    num_classes=len(classes) if classes else None,
    source=f"{count:,} images in {root}.",
    fingerprint=fingerprint,
    held_out_names=split.held_out_names,
  )


def parse(argument: str) -> tuple[pathlib.Path, int | None]:
  """Parses `PATH` or `PATH?size=32` into the folder, and the size or None."""
  path, size = split_size(argument)
  root = pathlib.Path(os.path.expanduser(path))
  if not path or not os.path.isdir(root):
    raise errors.UserError(
      f"'folder:{shown(argument)}' names no folder that exists; write {SYNTAX}."
    )
  return root, size


def split_size(argument: str) -> tuple[str, int | None]:
  """Splits `PATH` or `PATH?size=32`, whether or not there is such a folder.

  A folder whose own name has the form of the latter is meant itself.
  """
  path, question, size = argument.rpartition("?size=")
  if not question or os.path.isdir(os.path.expanduser(argument)):
    return argument, None
  if not re.fullmatch(r"0*[1-9]\d{0,5}", size, re.ASCII):
    raise errors.UserError(
      f"The size {errors.shown(size)} in 'folder:{shown(argument)}' is not a "
      f"positive number of pixels; write {SYNTAX}."
    )
  return path, int(size)


def _needs() -> str:
  return f"files with the endings {', '.join(image_files.SUFFIXES)}"


def _parts(split: splits.Split) -> list[tuple[str, tuple[str, ...]]]:
  return [("train", split.train), ("test", split.test)]


def _labels(
  root: pathlib.Path, split: splits.Split
) -> tuple[dict[str, list[int]], list[str]]:
  """The labels of both splits, and the classes; both empty without classes."""
  parts = {name: name.split("/") for name in split.train + split.test}
  inside = split.train[0].split("/")[0].lower() == splits.TRAIN
  if not split.given or not inside or min(map(len, parts.values())) < 3:
    return {}, []
  # Spellings that differ in case alone are one class, under the first of them.
  classes: dict[str, str] = {}
  for spelling in sorted({parts[name][1] for name in split.train}):
    classes.setdefault(spelling.casefold(), spelling)
  numbers = {name: number for number, name in enumerate(classes)}
  for name in split.test:
    if parts[name][1].casefold() not in numbers:
      raise errors.UserError(
        f"{shown(root / name)} is of a class that no training image has; the "
        f"classes are {', '.join(map(shown, classes.values()))}."
      )
  return {
    part: [numbers[parts[name][1].casefold()] for name in names]
    for part, names in _parts(split)
  }, list(classes.values())


def _made_from(
  root: pathlib.Path,
  paths: dict[str, pathlib.Path],
  split: splits.Split,
  side: int | None,
  background: plain.Colour,
) -> dict[str, Any]:
  """Facts that the decoded copy depends on; the rule follows from the names."""
  used = {*split.train, *split.test}
  files = [path for name, path in paths.items() if name in used]
  facts: dict[str, Any] = {
    "side": side,
    "files": image_files.stamps(root, files, side),
    "decoding": DECODING,
  }
  if background != plain.WHITE:
    facts["background"] = background
  if not split.given and set(split.test) != image_set.held_out(list(used)):
    facts["held_out"] = split.test
  return facts


def _say_if_shared(
  root: pathlib.Path, split: splits.Split, stamps: Sequence[Sequence]
) -> None:
  """Logs how many files of one split are in the other too, byte for byte."""
  contents = {name: (size, digest) for name, size, _, digest in stamps}
  seen = {contents[name] for name in split.train}
  shared = [name for name in split.test if contents[name] in seen]
  if shared:
    logging.warning(
      "%d of the %d held-out images in %s are trained on too, as links or "
      "copies, such as %s.",
      len(shared),
      len(split.test),
      shown(root),
      shown(shared[0]),
    )

"""Any folder of videos as a data set of clips.

`videos:PATH?size=32&frames=9` cuts every video below PATH into clips of 9
frames of 32x32 pixels, see `videos.find` and `clips`. With `&interval=2` a clip
has every second frame of the video, and with `&per_video=5` a video gives at
most its first five clips.

All clips of a video are in one split. If PATH has sub-folders `train` and
`test` they are the splits. Otherwise a tenth of the videos is held out: the
videos whose relative paths have the smallest SHA-256.
"""

import os
import pathlib
import re
from collections.abc import Collection, Sequence

from absl import logging

from pseudovideo import errors
from pseudovideo.data import clips, image_set, plain, videos
from pseudovideo.data.image_set import ImageSet

SYNTAX = "`videos:PATH?size=32&frames=9`"
# Settings behind the question mark -> fields of `clips.Cut`.
FIELDS = {
  "size": "side",
  "frames": "frames",
  "interval": "interval",
  "per_video": "per_video",
}


def load(
  argument: str,
  held_out: Collection[str] | None = None,
  background: plain.Colour = plain.WHITE,
) -> ImageSet:
  """Loads the clips of the videos below a folder, in colour.

  Args:
    argument: `PATH?size=32&frames=9`, see the module.
    held_out: names that were held out earlier, see `image_set.split`.
    background: what transparent pixels show.

  Returns:
    A set whose images are clips (N, T, S, S, 3), in the order of the videos'
    relative paths and of time.

  Raises:
    UserError: no such folder, other text, too few videos, or as `clips.load`
      does.
  """
  root, cut = parse(argument)
  if not root.is_dir():
    raise errors.UserError(
      f"'videos:{argument}' names no folder that exists; write {SYNTAX}."
    )
  splits, given = _split(root, held_out)
  names = [name for split in splits.values() for name in split]
  found = clips.load(root, cut, names, background)
  count = int((found.video < len(splits["train"])).sum())
  for split, num in (("train", count), ("test", len(found.clips) - count)):
    if not num:
      raise errors.UserError(
        f"None of the videos of {root} in the split {split!r} has {cut.span} "
        "frames, which one clip needs; give longer videos or ask for fewer "
        "frames."
      )
  return ImageSet(
    name=f"videos:{argument}",
    train_images=found.clips[:count],
    train_labels=None,
    test_images=found.clips[count:],
    test_labels=None,
    num_classes=None,
    source=(
      f"{len(found.clips):,} clips of {len(found.names):,} videos in {root}."
    ),
    fingerprint=image_set.derived(found.fingerprint, f"train: {count}"),
    held_out_names=None if given else tuple(splits["test"]),
  )


def parse(argument: str) -> tuple[pathlib.Path, clips.Cut]:
  """Parses `PATH?size=32&frames=9` into the folder and the cutting of videos.

  Raises:
    UserError: the text is written in another way.
  """
  path, _, query = argument.partition("?")
  given = {}
  for part in filter(None, query.split("&")):
    name, _, value = part.partition("=")
    number = re.fullmatch(r"\d{1,9}", value, re.ASCII)
    if name not in FIELDS or FIELDS[name] in given or not number:
      raise errors.UserError(
        f"'videos:{argument}' has {part!r} where one of {', '.join(FIELDS)} is "
        f"to be set, each once and to a number; write {SYNTAX}."
      )
    given[FIELDS[name]] = int(value)
  if not path or not {"side", "frames"} <= set(given):
    raise errors.UserError(
      f"'videos:{argument}' lacks a folder, the size or the number of frames; "
      f"write {SYNTAX}."
    )
  return pathlib.Path(os.path.expanduser(path)), clips.Cut(**given)


def _split(
  root: pathlib.Path, held_out: Collection[str] | None
) -> tuple[dict[str, list[str]], bool]:
  """Names of videos, by split, and whether folders say it."""
  names = list(videos.find(root))
  if (root / "train").is_dir() and (root / "test").is_dir():
    return _given_split(root, names), True
  if len(names) < 2:
    raise errors.UserError(
      f"There are {len(names)} videos in {root}; at least 2 are needed, one to "
      f"hold out: files with the endings {', '.join(videos.SUFFIXES)}, or "
      "folders of images."
    )
  test = image_set.split(names, held_out)
  return {
    "train": [name for name in names if name not in test],
    "test": [name for name in names if name in test],
  }, False


def _given_split(
  root: pathlib.Path, names: Sequence[str]
) -> dict[str, list[str]]:
  splits = {
    split: [name for name in names if name.split("/")[0] == split]
    for split in ("train", "test")
  }
  for split, chosen in splits.items():
    if not chosen:
      raise errors.UserError(
        f"There are no videos in {root / split}; put some there, files with "
        f"the endings {', '.join(videos.SUFFIXES)}, or folders of images."
      )
  used = sum(map(len, splits.values()))
  if used < len(names):
    logging.warning(
      "%d of the %d videos in %s are neither in train nor in test: left out.",
      len(names) - used,
      len(names),
      root,
    )
  return splits

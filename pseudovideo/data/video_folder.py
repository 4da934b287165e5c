"""Any folder of videos as a data set of clips.

`videos:PATH?size=32&frames=9` cuts every video below PATH into clips of 9
frames of 32x32 pixels, see `videos.find` and `clips`. With `&interval=2` a clip
has every second frame of the video, and with `&per_video=5` a video gives at
most its first five clips.

All clips of a video are in one split: by sub-folders such as `train` and `test`
or by a rule, see `splits`.
"""

import os
import pathlib
import re
from collections.abc import Collection

from pseudovideo import errors
from pseudovideo.data import clips, image_set, plain, splits, videos
from pseudovideo.data.faults import shown
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
  if not os.path.isdir(root):
    raise errors.UserError(
      f"'videos:{shown(argument)}' names no folder that exists; write {SYNTAX}."
    )
  paths = videos.find(root)
  split = splits.choose(root, list(paths), held_out, "videos", clips.NEEDS)
  chosen = {name: paths[name] for name in split.train + split.test}
  found = clips.load(root, cut, chosen, background)
  count = int((found.video < len(split.train)).sum())
  for part, num in (("train", count), ("test", len(found.clips) - count)):
    if not num:
      raise errors.UserError(
        f"None of the videos of {shown(root)} in the split {part!r} has "
        f"{cut.span} frames, which one clip needs; give longer videos or ask "
        "for fewer frames."
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
    held_out_names=split.held_out_names,
  )


def parse(argument: str) -> tuple[pathlib.Path, clips.Cut]:
  """Parses `PATH?size=32&frames=9` into the folder and the cutting of videos.

  Raises:
    UserError: the text is written in another way.
  """
  path, _, query = argument.rpartition("?")
  if not path:
    path, query = argument, ""
  given = {}
  for part in filter(None, query.split("&")):
    name, _, value = part.partition("=")
    number = re.fullmatch(r"\d{1,9}", value, re.ASCII)
    if name not in FIELDS or FIELDS[name] in given or not number:
      raise errors.UserError(
        f"'videos:{shown(argument)}' has {part!r} where one of "
        f"{', '.join(FIELDS)} is to be set, each once and to a number; write "
        f"{SYNTAX}."
      )
    given[FIELDS[name]] = int(value)
  if not path or not {"side", "frames"} <= set(given):
    raise errors.UserError(
      f"'videos:{shown(argument)}' lacks a folder, the size or the number of "
      f"frames; write {SYNTAX}."
    )
  return pathlib.Path(os.path.expanduser(path)), clips.Cut(**given)

"""The split of a folder's images or videos: by sub-folders, or by a rule.

Sub-folders `train` and `test` of the folder are the splits, whatever the case
of their names. Without `test`, `val`, `valid` or `validation` is held out.

  train and test     the splits; all else is left out
  train and val      the splits; all else is left out
  train alone        a tenth of it is held out by the rule; all else is left out
  test or val alone  held out; all else is trained on
  neither, or nothing else beside test and val
                     a tenth of all is held out by the rule

The rule holds out the files whose relative paths have the smallest SHA-256. One
logged line says whatever differs from the first row and the last.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Collection, Sequence

from absl import logging

from pseudovideo import errors
from pseudovideo.data import image_set
from pseudovideo.data.faults import shown

TRAIN = "train"
HELD_OUT = ("test", "val", "valid", "validation")  # in order of preference


@dataclasses.dataclass(frozen=True)
class Split:
  """The names of two splits, in their order.

  Attributes:
    train: names of what is trained on.
    test: names of what is held out.
    given: whether folders are the split; else the rule chose `test`.
  """

  train: tuple[str, ...]
  test: tuple[str, ...]
  given: bool

  @property
  def held_out_names(self) -> tuple[str, ...] | None:
    """See `ImageSet`."""
    return None if self.given else self.test


def choose(
  root: pathlib.Path,
  names: Sequence[str],
  earlier: Collection[str] | None,
  what: str,
  needs: str,
) -> Split:
  """Splits the names of images or videos.

  Args:
    root: the folder.
    names: paths relative to it, sorted.
    earlier: names that were held out earlier, see `image_set.split`.
    what: what they name, in the plural.
    needs: what files count as these, for an error.

  Raises:
    UserError: a split without any, or fewer than two in all.
  """
  folders = _folders(root)
  held = [part for part in HELD_OUT if part in folders]
  members = {part: _inside(names, part) for part in folders}
  if TRAIN in folders and held:
    return _given(root, names, folders, members, what, needs)
  if TRAIN in folders and len(members[TRAIN]) > 1:
    _say(root, names, members[TRAIN], what, "train has no test or val beside "
         "it, so that a tenth of train is held out")  # fmt: skip
    return _by_rule(members[TRAIN], earlier)
  full = [part for part in held if members[part]]
  kept = set(names) - {name for part in held for name in members[part]}
  if full and kept:
    chosen = [*members[full[0]], *kept]
    _say(root, names, chosen, what, f"{full[0]} is held out and what lies in "
         "no such folder is trained on")  # fmt: skip
    train = tuple(name for name in names if name in kept)
    return Split(train, tuple(members[full[0]]), given=True)
  if len(names) < 2:
    raise errors.UserError(
      f"There are {len(names)} {what} in {shown(root)}; at least 2 are needed, "
      f"one to hold out: {needs}."
    )
  _say_unused(root, names, folders)
  return _by_rule(names, earlier)


def _by_rule(names: Sequence[str], earlier: Collection[str] | None) -> Split:
  test = image_set.split(names, earlier)
  return Split(
    tuple(name for name in names if name not in test),
    tuple(name for name in names if name in test),
    given=False,
  )


def _given(
  root: pathlib.Path,
  names: Sequence[str],
  folders: dict[str, str],
  members: dict[str, list[str]],
  what: str,
  needs: str,
) -> Split:
  held = [part for part in HELD_OUT if part in folders]
  used = next((part for part in held if members[part]), held[0])
  for part in (TRAIN, used):
    if not members[part]:
      raise errors.UserError(
        f"There are no {what} in {shown(root / folders[part])}; put some "
        f"there: {needs}."
      )
  said = "" if held == [HELD_OUT[0]] else f"{folders[used]} is held out"
  _say(root, names, members[TRAIN] + members[used], what, said)
  return Split(tuple(members[TRAIN]), tuple(members[used]), given=True)


def _folders(root: pathlib.Path) -> dict[str, str]:
  """The sub-folders that name splits: "val" -> "Val", as it is written."""
  wanted = (TRAIN, *HELD_OUT)
  return {
    path.name.lower(): path.name
    for path in sorted(root.iterdir(), reverse=True)
    if path.name.lower() in wanted and path.is_dir()
  }


def _inside(names: Sequence[str], part: str) -> list[str]:
  return [name for name in names if name.split("/")[0].lower() == part]


def _say(
  root: pathlib.Path,
  names: Sequence[str],
  used: Collection[str],
  what: str,
  said: str,
) -> None:
  """Logs one line on the choice, and on what is left out, by folder."""
  rest = set(names) - set(used)
  counts = collections.Counter(
    name.split("/")[0] if "/" in name else "no folder" for name in rest
  )
  by_folder = ", ".join(f"{n:,} in {shown(f)}" for f, n in counts.most_common())
  left_out = (
    f"{len(rest):,} of the {len(names):,} {what} in {shown(root)} are in "
    f"neither split and left out: {by_folder}"
  )
  parts = [f"In {shown(root)} {said}" if said else "", left_out if rest else ""]
  if any(parts):
    logging.warning("%s.", "; ".join(filter(None, parts)))


def _say_unused(
  root: pathlib.Path, names: Sequence[str], folders: dict[str, str]
) -> None:
  """Logs that folders named as splits are none."""
  deeper = {
    part
    for name in names
    for part in name.split("/")[1:-1]
    if part.lower() in (TRAIN, *HELD_OUT)
  }
  unused = sorted({*folders.values(), *deeper})
  if unused:
    logging.warning(
      "In %s the folders named %s are no splits, as there is no pair of train "
      "and test directly in it; a tenth of everything is held out.",
      shown(root),
      ", ".join(unused),
    )

"""The files below a folder, links followed, and what is passed over in words.

Hidden files and folders are passed over silently: names that begin with a dot,
and what file managers leave behind.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator

from absl import logging

from pseudovideo.data import faults

NAMED = 10  # endings that a line names
LITTER = (
  *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
  *("__macosx", "@eadir", "$recycle.bin", "system volume information"),
)
FOLDER, CIRCLE, BROKEN = "unreadable folder", "circular link", "broken link"


@dataclasses.dataclass
class Walk:
  """What lies below a folder.

  Attributes:
    files: all files by their relative POSIX paths, sorted by them.
    notes: other things that were passed over -> their number.
  """

  files: dict[str, pathlib.Path]
  notes: dict[str, int]


def walk(root: pathlib.Path) -> Walk:
  """Finds the files below a folder, whatever they are.

  Linked folders are entered, unless the link leads to a folder above it. A link
  to nothing is a file here: whether it should be read, its ending says.
  """
  notes: collections.Counter[str] = collections.Counter()
  files = {path.relative_to(root).as_posix(): path
           for path in files_of(root, notes)}  # fmt: skip
  return Walk(dict(sorted(files.items())), notes)


def files_of(
  root: pathlib.Path, notes: collections.Counter[str] | None = None
) -> Iterator[pathlib.Path]:
  """Yields the files of `walk`, in no order; `notes` counts the rest."""
  notes = collections.Counter() if notes is None else notes
  # Folders to enter, and the identities of those above them.
  todo: list[tuple[pathlib.Path, frozenset]] = [(root, frozenset())]
  while todo:
    folder, above = todo.pop()
    try:
      above |= {_identity(os.stat(folder))}
      entries = list(os.scandir(folder))
    except OSError:
      notes[FOLDER] += 1
      continue
    for entry in entries:
      if entry.name.startswith(".") or entry.name.lower() in LITTER:
        continue
      path = folder / entry.name
      if not _is_folder(entry):
        yield path
      elif entry.is_symlink() and _identity(entry.stat()) in above:
        notes[CIRCLE] += 1
      else:
        todo.append((path, above))


def say_not_taken(
  root: pathlib.Path, found: Walk, taken: Iterable[str]
) -> None:
  """Logs one line that counts by ending the files that nobody takes.

  Args:
    root: the folder.
    found: what lies below it.
    taken: names of `found.files` that are used.
  """
  counts = collections.Counter(dict(found.notes))
  for name in found.files.keys() - set(taken):
    counts[_kind(found.files[name])] += 1
  if not counts:
    return
  ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
  parts = [_counted(kind, count) for kind, count in ranked[:NAMED]]
  if len(ranked) > NAMED:
    rest = sum(count for _, count in ranked[NAMED:])
    parts.append(f"{rest:,} of {len(ranked) - NAMED} other kinds")
  logging.warning("Not taken: %s, in %s.", ", ".join(parts), faults.shown(root))


def _counted(kind: str, count: int) -> str:
  plural = "s" if kind in (FOLDER, CIRCLE, BROKEN) and count > 1 else ""
  return f"{count:,} {faults.shown(kind)}{plural}"


def _kind(path: pathlib.Path) -> str:
  if path.is_symlink() and not os.path.exists(path):
    return BROKEN
  return path.suffix.lower() or "without an ending"


def _is_folder(entry: os.DirEntry) -> bool:
  try:
    return entry.is_dir()
  except OSError:  # A link that leads to itself.
    return False


def _identity(status: os.stat_result) -> tuple[int, int]:
  return status.st_dev, status.st_ino

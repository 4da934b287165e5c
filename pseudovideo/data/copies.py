"""The arrays that `cache` keeps on disk: which there are, and what can go.

A copy is a folder `<name>-<20 hexadecimal digits>` that holds meta.json, npy
files and use.json alone; nothing else is ever removed. In use.json, whose time
is that of the last use, is the folder that the set was then read from: equal
files in two places, or files that were moved, share a copy.

A copy is renamed before it is removed, so that other processes see it whole or
not at all: one that has opened its arrays keeps them, and one that wants them
later makes them again.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from absl import logging

from pseudovideo.files import atomic, leftovers, untrusted

KEPT = 4  # copies of one source, the new one included
USE = "use.json"
_NAME = re.compile(r".+-[0-9a-f]{20}", re.DOTALL)
_OURS = re.compile(r"meta\.json|use\.json|\.use\.json\..+\.part|[^.].*\.npy")


@dataclasses.dataclass(frozen=True)
class Copy:
  """A copy on disk.

  Attributes:
    folder: its folder.
    size: bytes.
    made: time when it was made, in seconds since 1970.
    used: time of its last use.
    source: path of the files as they were used last; None if it is not known.
    variant: text that differs for other sizes and so on of the same source.
  """

  folder: pathlib.Path
  size: int
  made: float
  used: float
  source: str | None
  variant: str | None

  @property
  def name(self) -> str:
    """Its name among all copies, such as `data/folder-0123...`."""
    return f"{self.folder.parent.name}/{self.folder.name}"

  @property
  def is_orphan(self) -> bool:
    """True if its files are gone."""
    return self.source is not None and not os.path.exists(self.source)


def about(source: pathlib.Path, made_from: Mapping[str, Any]) -> dict[str, str]:
  """The facts that `cache.load` keeps with a copy.

  Args:
    source: folder of the files.
    made_from: what the copy depends on, with the stamps of the files, `files`.
  """
  choices = {name: made_from[name] for name in made_from if name != "files"}
  text = json.dumps(choices, sort_keys=True)
  return {
    "source": os.path.realpath(source),
    "variant": hashlib.sha256(text.encode()).hexdigest(),
  }


def find() -> list[Copy]:
  """Finds all copies on this machine, the largest first."""
  root = atomic.cache_dir()
  kinds: list[pathlib.Path] = []
  with contextlib.suppress(OSError):
    kinds = sorted(root.iterdir())
  found = [copy for kind in kinds for copy in _of_kind(kind)]
  return sorted(found, key=lambda copy: (-copy.size, copy.name))


def unused(copies: Iterable[Copy]) -> list[Copy]:
  """Chooses those that nothing reads any more.

  Either their files are gone, or these have changed since, so that there is a
  newer copy of the same kind.
  """
  copies = list(copies)
  newest: dict[tuple, float] = {}
  for copy in copies:
    key = (copy.source, copy.variant)
    newest[key] = max(newest.get(key, 0), copy.made)
  return [
    copy
    for copy in copies
    if copy.is_orphan
    or (copy.source and copy.made < newest[copy.source, copy.variant])
  ]


def remove(copy: Copy) -> bool:
  """Removes a copy; returns whether it was still there and could be removed."""
  if not _is_copy(copy.folder):
    return False
  try:
    with leftovers.new_folder(copy.folder.parent) as temporary:
      copy.folder.rename(temporary / "removed")
  except OSError:
    return False
  return True


def prune(folder: pathlib.Path, source: str) -> None:
  """Removes the copies of a source that were not used for longest.

  `KEPT` stay, among them the one in `folder`, which was just made.
  """
  others = [
    copy
    for copy in _of_kind(folder.parent)
    if copy.source == source and copy.folder != folder
  ]
  others.sort(key=lambda copy: copy.used, reverse=True)
  removed = [copy for copy in others[KEPT - 1 :] if remove(copy)]
  if removed:
    logging.info(
      "Removed %d older decoded copies of %s (%.1f MB).",
      len(removed),
      source,
      sum(copy.size for copy in removed) / 1e6,
    )


def note_use(folder: pathlib.Path, facts: Mapping[str, str] | None) -> None:
  """Notes that a copy is used now; where nothing can be written, it is not.

  Args:
    folder: folder of the copy.
    facts: see `about`.
  """
  path = folder / USE
  text = json.dumps(dict(facts or {}))
  with contextlib.suppress(OSError, ValueError):
    if _content(path) == text.encode():
      os.utime(path)
      leftovers.remove(folder)
    elif folder.exists():
      with atomic.replacing(path) as part:
        part.write_text(text)


def _content(path: pathlib.Path) -> bytes | None:
  """The bytes of a file; None if there is none."""
  with contextlib.suppress(OSError), untrusted.opened(path) as file:
    return file.read()
  return None


def _of_kind(kind: pathlib.Path) -> list[Copy]:
  """The copies in one folder of the cache."""
  try:
    folders = sorted(kind.iterdir())
  except OSError:
    return []
  found = []
  for folder in folders:
    # Another process may remove it meanwhile.
    with contextlib.suppress(OSError):
      if _is_copy(folder):
        found.append(_read(folder))
  return found


def _is_copy(folder: pathlib.Path) -> bool:
  if not _NAME.fullmatch(folder.name) or folder.is_symlink():
    return False
  try:
    names = [entry.name for entry in os.scandir(folder) if _is_plain(entry)]
    everything = os.listdir(folder)
  except OSError:
    return False
  ours = all(_OURS.fullmatch(name) for name in names)
  return ours and len(names) == len(everything) and "meta.json" in names


def _is_plain(entry: os.DirEntry) -> bool:
  return entry.is_file(follow_symlinks=False)


def _read(folder: pathlib.Path) -> Copy:
  facts: Mapping[str, Any] = {}
  use = folder / USE
  with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
    facts = dict(json.loads(use.read_bytes()))
  source, variant = facts.get("source"), facts.get("variant")
  made = (folder / "meta.json").stat().st_mtime
  return Copy(
    folder=folder,
    size=sum(path.stat().st_size for path in folder.iterdir()),
    made=made,
    used=use.stat().st_mtime if use.exists() else made,
    source=source if isinstance(source, str) else None,
    variant=variant if isinstance(variant, str) else None,
  )

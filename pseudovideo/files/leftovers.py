"""Names of unfinished files and folders, by which killed writers are known.

A name says which process writes: `.NAME.MACHINE-PROCESS.part` for a file that
will be NAME, `.new-MACHINE-PROCESS-RANDOM` for a folder. A number of a process
means nothing on another machine or in another container, so MACHINE is a hash
of what tells them apart. What a process of this machine left is removed when
that process is gone; what is another's, when it did not change for a day.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator

AGE = 86_400  # seconds
FOLDER = ".new-"
_LENGTH = 200  # bytes of a name, of the 255 that file systems take
_WRITER = r"(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]{1,10})"
_PART = re.compile(rf"\..+\.{_WRITER}\.part", re.DOTALL)
_FOLDER = re.compile(rf".*-{_WRITER}-[0-9a-f]{{8}}", re.DOTALL)
# Of versions that did not say who writes.
_OLDER = re.compile(r"\.new-[a-z0-9_]{8}|\..+\.[0-9]+\.part", re.DOTALL)


def part_of(path: pathlib.Path) -> pathlib.Path:
  """The name under which this process writes a file before it has its own."""
  name = path.name
  if len(os.fsencode(name)) > _LENGTH:
    name = hashlib.sha256(os.fsencode(name)).hexdigest()
  return path.with_name(f".{name}.{machine()}-{os.getpid()}.part")


@contextlib.contextmanager
def new_folder(
  parent: pathlib.Path, prefix: str = FOLDER, mode: int = 0o777
) -> Iterator[pathlib.Path]:
  """Makes a folder in `parent`, removed at the end if it is still there.

  Args:
    parent: folder that exists; what dead processes left there is removed.
    prefix: beginning of the name, which ends in `-`.
    mode: permissions, without those that the umask takes.

  Raises:
    OSError: the folder cannot be made.
  """
  remove(parent, prefix)
  who = f"{machine()}-{os.getpid()}-{secrets.token_hex(4)}"
  folder = parent / f"{prefix}{who}"
  folder.mkdir(mode)
  try:
    yield folder
  finally:
    shutil.rmtree(folder, ignore_errors=True)


def remove(
  parent: pathlib.Path, prefix: str = FOLDER, *, older: bool = False
) -> None:
  """Removes unfinished files and folders whose writers are gone.

  Whatever cannot be looked at or removed stays.

  Args:
    parent: folder in which they are.
    prefix: beginning of the names of unfinished folders.
    older: whether what earlier versions left goes too, when it is a day old.
      Only for folders with nothing of the user's own: their names say less.
  """
  with contextlib.suppress(OSError), os.scandir(parent) as entries:
    for entry in entries:
      with contextlib.suppress(OSError):
        if _is_left(entry, prefix) or (older and _is_of_older(entry)):
          _remove(entry)


def _is_left(entry: os.DirEntry, prefix: str) -> bool:
  if entry.name.startswith(prefix):
    found = _FOLDER.fullmatch(entry.name)
  else:
    found = _PART.fullmatch(entry.name)
  if found is None:
    return False
  if found["machine"] == machine() and not _runs(int(found["process"])):
    return True
  return _is_old(entry)


def _is_of_older(entry: os.DirEntry) -> bool:
  return bool(_OLDER.fullmatch(entry.name)) and _is_old(entry)


def _remove(entry: os.DirEntry) -> None:
  if entry.is_dir(follow_symlinks=False):
    shutil.rmtree(entry.path, ignore_errors=True)
  else:
    os.unlink(entry.path)


def _is_old(entry: os.DirEntry) -> bool:
  """True if nothing in it has changed for long, nor itself."""
  found = entry.stat(follow_symlinks=False)
  newest = found.st_mtime
  if stat.S_ISDIR(found.st_mode):
    for folder, _, files in os.walk(entry.path):
      paths = [folder, *(os.path.join(folder, file) for file in files)]
      newest = max([newest, *(os.lstat(path).st_mtime for path in paths)])
  return time.time() - newest > AGE


def _runs(process: int) -> bool:
  try:
    os.kill(process, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:  # It is another user's.
    return True
  return True


@functools.cache
def machine() -> str:
  """A hash of this machine and container: where a process has its number."""
  facts = [platform.node()]
  with contextlib.suppress(OSError):
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id")
    facts += [boot.read_text(), os.readlink("/proc/self/ns/pid")]
  return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]

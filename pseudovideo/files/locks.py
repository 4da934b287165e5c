"""A lock file, by which processes that share a folder keep out of its way.

It holds who works there, for people to read. What counts is the kernel's lock
on the open file, which ends with its process however that dies: the file of a
dead process locks nothing.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import platform
import re
from collections.abc import Iterator
from typing import TextIO

from absl import logging

_OURS = re.compile(r"(process \d+ on .*)?")
_LONGEST = 1000


@contextlib.contextmanager
def hold(path: pathlib.Path) -> Iterator[bool]:
  """Holds the lock while the context lasts, if it is free.

  Where the file system knows no locks, a warning says so, and the lock counts
  as free.

  Args:
    path: path of the lock file, which is made, with its folder, and stays.

  Yields:
    Whether the lock was free.

  Raises:
    OSError: the file cannot be written, is a link, or is no lock file.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with _open(path, os.O_RDWR | os.O_CREAT) as file:
    if not _lock(file, fcntl.LOCK_EX):
      yield False
      return
    if not _OURS.fullmatch(file.read(_LONGEST)):
      raise OSError(errno.EEXIST, "it is a file of another kind", str(path))
    file.truncate(0)
    file.seek(0)
    file.write(f"process {os.getpid()} on {platform.node()}")
    file.flush()
    try:
      yield True
    finally:
      file.truncate(0)


def holder(path: pathlib.Path) -> str | None:
  """The holder of the lock, such as "process 12 on host", or None.

  It is None too where this user may not look, or where there is no lock file.
  """
  try:
    file = _open(path, os.O_RDONLY)
  except OSError:
    return None
  with file:
    if not _lock(file, fcntl.LOCK_SH):
      return file.read(_LONGEST) or "another process"
  return None


def _open(path: pathlib.Path, how: int) -> TextIO:
  """Opens a lock file, which is no link: what it leads to may be precious."""
  descriptor = os.open(path, how | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
  return os.fdopen(
    descriptor,
    "r+" if how & os.O_RDWR else "r",
    encoding="utf-8",
    errors="replace",
  )


def _lock(file, kind: int) -> bool:
  """Locks an open file if it is free; returns whether it was."""
  try:
    fcntl.flock(file, kind | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError as error:
    logging.warning(
      "%s cannot be locked (%s): nothing here notices if two processes write "
      "in this folder.",
      file.name,
      error.strerror,
    )
  return True

"""A lock file, by which processes that share a folder keep out of its way.

It holds who works there, for people to read. What counts is the kernel's lock
on the open file, which ends with its process however that dies: the file of a
dead process locks nothing.
"""

import contextlib
import fcntl
import os
import pathlib
import platform
from collections.abc import Iterator

from absl import logging


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
    OSError: the file cannot be written.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open("a+") as file:
    if not _lock(file, fcntl.LOCK_EX):
      yield False
      return
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}")
    file.flush()
    try:
      yield True
    finally:
      file.truncate(0)


def holder(path: pathlib.Path) -> str | None:
  """The holder of the lock, such as "process 12 on host", or None.

  It is None too where this user may not look.
  """
  try:
    file = path.open()
  except (FileNotFoundError, PermissionError):
    return None
  with file:
    if not _lock(file, fcntl.LOCK_SH):
      return file.read() or "another process"
  return None


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

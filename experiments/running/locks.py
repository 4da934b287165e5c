"""A lock file, by which processes that share a folder share out their work.

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


@contextlib.contextmanager
def hold(path: pathlib.Path) -> Iterator[bool]:
  """Holds the lock while the context lasts, if it is free.

  Args:
    path: path of the lock file, which is made, with its folder, and stays.

  Yields:
    Whether the lock was free.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open("a+") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
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
  """The holder of the lock, such as "process 12 on host", or None."""
  if not path.exists():
    return None
  with path.open() as file:
    try:
      fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
      return file.read() or "another process"
  return None

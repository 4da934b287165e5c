"""Looks whether a file can be written before it is known what goes into it."""

import errno
import os
import pathlib
import shutil
import tempfile

from pseudovideo import errors
from pseudovideo.files import untrusted

_PROBE = bytes(4096)


def check(path: str | os.PathLike, size: int = 0) -> None:
  """Refuses, before hours of work, what could not be written after them.

  The folder is made if need be.

  Args:
    path: path of the file that will be written, or replaced.
    size: bytes that it may have.

  Raises:
    UserError: there is a folder of that name, its own folder cannot be written,
      or the disk has less room.
  """
  path = pathlib.Path(path)
  try:
    if path.is_dir():
      raise IsADirectoryError(errno.EISDIR, "it is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent) as file:
      file.write(_PROBE)
      file.flush()
      os.fsync(file.fileno())
    free = shutil.disk_usage(path.parent).free
  except OSError as error:
    raise errors.UserError(
      f"{path} cannot be written ({untrusted.reason(error)}); choose another "
      "folder, or make room there."
    ) from error
  if free < size:
    raise errors.UserError(
      f"{path} may need {size:,} bytes, and {free:,} are free on its disk; "
      "make room, or choose another folder."
    )

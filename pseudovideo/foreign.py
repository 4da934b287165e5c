"""Files that others made: opened, and their faults told, without trust."""

import errno
import os
import pathlib
import stat
from typing import BinaryIO

from pseudovideo import errors

# Of what a file's fault is told; names in it can be as long as the file.
LENGTH = 1000


def opened(path: str | os.PathLike) -> BinaryIO:
  """The open file, which has an end: pipes and devices may have none.

  Raises:
    OSError: as `open`, or it is a pipe, a socket or a device.
  """
  mode = os.stat(path).st_mode
  if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
    raise OSError(errno.EINVAL, "It is a pipe or a device", os.fspath(path))
  return pathlib.Path(path).open("rb")


def check(path: pathlib.Path) -> None:
  """Refuses what `opened` does, without reading anything.

  Raises:
    UserError: as `opened`, or it is a folder.
  """
  try:
    opened(path).close()
  except OSError as error:
    raise errors.UserError(
      f"{path} cannot be read ({reason(error)}); replace or remove it."
    ) from error


def reason(error: Exception) -> str:
  """What went wrong, as the end of a sentence without its full stop.

  It is one printable line of at most `LENGTH` characters, whatever the file
  has put into the message.
  """
  text = getattr(error, "strerror", None) or str(error) or repr(error)
  line = " ".join(text[: 2 * LENGTH].split())
  line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
  if len(line) > LENGTH:
    line = f"{line[:LENGTH]}..."
  return line.rstrip(".")

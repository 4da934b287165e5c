"""Opens files that others made, and puts their faults into words."""

import errno
import hashlib
import io
import os
import pathlib
import stat

from pseudovideo import errors

# Most characters of a message; names in it can be as long as the file.
LENGTH = 1000


def opened(path: str | os.PathLike) -> io.BufferedReader:
  """Opens a regular file; pipes and devices may have no end.

  Raises:
    OSError: see `open`; or the file is a pipe, a socket or a device.
  """
  mode = os.stat(path).st_mode
  if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
    raise OSError(errno.EINVAL, "It is a pipe or a device", os.fspath(path))
  return pathlib.Path(path).open("rb")


def sha256(path: str | os.PathLike) -> str:
  """The hash of a whole file, in hexadecimal.

  Raises:
    OSError: see `opened`.
  """
  with opened(path) as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: pathlib.Path) -> None:
  """Refuses what `opened` does, without reading anything.

  Raises:
    UserError: see `opened`; or the file is a folder.
  """
  try:
    opened(path).close()
  except OSError as error:
    raise errors.UserError(
      f"{path} cannot be read ({reason(error)}); replace or remove it."
    ) from error


def reason(error: Exception) -> str:
  """Puts an error into words, for the end of a sentence, without a full stop.

  It is one printable line of at most `LENGTH` characters, whatever the file
  has put into the message.
  """
  text = getattr(error, "strerror", None) or str(error) or repr(error)
  line = " ".join(text[: 2 * LENGTH].split())
  line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
  if len(line) > LENGTH:
    line = f"{line[:LENGTH]}..."
  return line.rstrip(".")

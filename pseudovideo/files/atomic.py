"""The cache folder, and files that are written whole or not at all."""

import contextlib
import os
import pathlib
import pwd
from collections.abc import Iterator

from pseudovideo.files import leftovers


def cache_dir(*parts: str) -> pathlib.Path:
  """Returns `$XDG_CACHE_HOME/pseudovideo/...` (~/.cache if unset), not made.

  For a user without a home it is below `os.devnull`, where nothing can be made.
  """
  base = os.environ.get("XDG_CACHE_HOME") or os.path.join(_home(), ".cache")
  return pathlib.Path(base, "pseudovideo", *parts)


def _home() -> str:
  """Returns `$HOME`, or what the system knows; as in containers, maybe none."""
  if home := os.environ.get("HOME"):
    return home
  with contextlib.suppress(KeyError):
    return pwd.getpwuid(os.getuid()).pw_dir or os.devnull
  return os.devnull


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
  """Adds the file's name to an OSError that lacks it, as of a full disk."""
  try:
    yield
  except OSError as error:
    if error.filename is None and error.errno is not None:
      error.filename = str(path)
    raise


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Writes a file whole or not at all, whatever ends the process.

  Yields the name of a file beside `path`. At the end, when the disk holds it,
  it replaces `path` in one step. After an exception `path` is as it was, and
  nothing is left beside it, also not by writers that were killed. The folder is
  made if need be.

  Raises:
    OSError: the file cannot be written; names it.
  """
  part = leftovers.part_of(path)
  try:
    with naming(path):
      path.parent.mkdir(parents=True, exist_ok=True)
      leftovers.remove(path.parent)
      yield part
      sync(part)
      part.replace(path)
  finally:
    with contextlib.suppress(OSError):
      part.unlink()


def sync(path: pathlib.Path) -> None:
  """Waits until the disk holds a file, or the entries of a folder."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)

"""The cache folder, and files that are written whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


def cache_dir(*parts: str) -> pathlib.Path:
  """Returns `$XDG_CACHE_HOME/pseudovideo/...` (~/.cache if unset), not made."""
  base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  return pathlib.Path(base, "pseudovideo", *parts)


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
  nothing is left beside it. The folder is made if need be.

  Raises:
    OSError: the file cannot be written; names it.
  """
  part = path.with_name(f".{path.name}.{os.getpid()}.part")
  try:
    with naming(path):
      path.parent.mkdir(parents=True, exist_ok=True)
      yield part
      sync(part)
      part.replace(path)
  finally:
    part.unlink(missing_ok=True)


def sync(path: pathlib.Path) -> None:
  """Waits until the disk holds a file, or the entries of a folder."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)

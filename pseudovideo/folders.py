"""Where files are kept between runs, and how they are written whole."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


def cache_dir(*parts: str) -> pathlib.Path:
  """`$XDG_CACHE_HOME/pseudovideo/...` (default ~/.cache); not created."""
  base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  return pathlib.Path(base, "pseudovideo", *parts)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
  """An OSError within it says which file it is of, as that of a full disk."""
  try:
    yield
  except OSError as error:
    if error.filename is None and error.errno is not None:
      error.filename = str(path)
    raise


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """A name beside `path`; what is written there takes the place of `path`.

  It does so at the end, at once. After an exception `path` is as it was, and
  nothing is left beside it.
  """
  part = path.with_name(f".{path.name}.{os.getpid()}.part")
  try:
    with naming(path):
      yield part
      part.replace(path)
  finally:
    part.unlink(missing_ok=True)

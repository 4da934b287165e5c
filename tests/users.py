"""A user whom permissions bind, for tests: root may do everything."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

NUMBER = 12_345  # Nobody's, as with `docker run --user`.


@contextlib.contextmanager
def bound() -> Iterator[None]:
  """Makes this process another user's, if it is root's."""
  if os.geteuid():
    yield
    return
  groups = os.getgroups()
  os.setgroups([])
  os.setegid(NUMBER)
  os.seteuid(NUMBER)
  try:
    yield
  finally:
    os.seteuid(0)
    os.setegid(0)
    os.setgroups(groups)


@contextlib.contextmanager
def folder() -> Iterator[pathlib.Path]:
  """A folder that this user may reach: pytest's are closed to others."""
  with tempfile.TemporaryDirectory() as name:
    path = pathlib.Path(name)
    path.chmod(0o755)
    try:
      yield path
    finally:
      for found in [path, *path.rglob("*")]:
        if found.is_dir():
          found.chmod(0o700)


def give(path: pathlib.Path) -> None:
  """Makes a folder and all that is below it the other user's."""
  if not os.geteuid():
    for found in [path, *path.rglob("*")]:
      os.chown(found, NUMBER, NUMBER, follow_symlinks=False)

"""Folders whose names libraries misread, by another name.

Orbax finds its own files with a pattern that holds the folder's path, so that
brackets in it match nothing; TensorStore reads a backslash as a separator, and
takes no names that are not Unicode.
"""

import contextlib
import errno
import pathlib
import re
import tempfile
from collections.abc import Iterator

from pseudovideo.files import leftovers

# Where `$TMPDIR` has such a name itself.
PLACES = ("/tmp", "/var/tmp", "/dev/shm")
_MISREAD = re.compile(r"[][*?\\]|[\ud800-\udfff]")


@contextlib.contextmanager
def folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields `path`, or a link to it while the context lasts, if need be.

  Args:
    path: an absolute path of a folder that exists.

  Raises:
    OSError: the folder for temporary files cannot be written.
  """
  if not _MISREAD.search(str(path)):
    yield path
    return
  with _place() as place:
    link = place / "folder"
    link.symlink_to(path, target_is_directory=True)
    yield link


@contextlib.contextmanager
def _place() -> Iterator[pathlib.Path]:
  """A new folder with a plain name, of this user alone.

  Raises:
    OSError: see `folder`.
  """
  problem: OSError | None = None
  with contextlib.ExitStack() as stack:
    for parent in map(pathlib.Path, (tempfile.gettempdir(), *PLACES)):
      if _MISREAD.search(str(parent.absolute())):
        continue
      try:
        made = leftovers.new_folder(parent.absolute(), "pseudovideo-", 0o700)
        place = stack.enter_context(made)
      except OSError as error:
        problem = error
        continue
      yield place
      return
  raise problem or FileNotFoundError(
    errno.ENOENT, "No folder for temporary files has a plain name"
  )

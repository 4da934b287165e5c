"""Folders whose names libraries misread, by another name.

Orbax finds its own files with a pattern that holds the folder's path, so that
brackets in it match nothing; TensorStore reads a backslash as a separator, and
takes no names that are not Unicode.
"""

import contextlib
import pathlib
import re
import tempfile
from collections.abc import Iterator

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
  with tempfile.TemporaryDirectory(prefix="pseudovideo-") as place:
    link = pathlib.Path(place, "folder")
    link.symlink_to(path, target_is_directory=True)
    yield link

"""Facts that identify source files without reading large ones completely."""

import hashlib
import os
import pathlib
from collections.abc import Sequence

from pseudovideo.data import decoding, faults
from pseudovideo.files import untrusted

# Bytes of the beginning and of the end of a file that are read.
SAMPLE = 65_536


def stamps(root: pathlib.Path, files: Sequence[pathlib.Path]) -> list[list]:
  """Facts that identify source files; large ones are not read completely.

  Args:
    root: the folder that the names are relative to.
    files: the files.

  Returns:
    For each file its relative name, size in bytes, time of last change in
    nanoseconds, and the SHA-256 of its first and last 64 KiB.

  Raises:
    UserError: names all files that cannot be read.
  """
  found: list[list] = [[] for _ in files]
  faulty = faults.Faults(root, files)

  def stamp(place: int) -> None:
    path = files[place]
    found[place] = [path.relative_to(root).as_posix(), *_stamp(path)]

  def work(start: int, stop: int) -> None:
    for place in range(start, stop):
      faulty.call(place, stamp)

  decoding.in_blocks(
    work,
    len(files),
    "comparing files",
    unit="file",
    threads=decoding.READERS,
  )
  faulty.refuse("files")
  return found


def _stamp(path: pathlib.Path) -> tuple[int, int, str]:
  try:
    with untrusted.opened(path) as file:
      status = os.fstat(file.fileno())
      digest = hashlib.sha256(file.read(SAMPLE))
      if status.st_size > SAMPLE:
        file.seek(max(SAMPLE, status.st_size - SAMPLE))
        digest.update(file.read())
  except OSError as error:
    raise faults.file_error(
      str(path),
      f"cannot be read ({untrusted.reason(error)})",
      "replace or remove it",
    ) from error
  return status.st_size, status.st_mtime_ns, digest.hexdigest()

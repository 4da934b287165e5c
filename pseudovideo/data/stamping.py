"""Facts that identify source files without reading large ones completely."""

import errno
import hashlib
import io
import os
import pathlib
import stat
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
  prefix = os.path.join(root, "")

  def stamp(place: int) -> None:
    path = files[place]
    found[place] = [str(path).removeprefix(prefix), *_stamp(path)]

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
    status, sample = _read(path)
  except OSError as error:
    raise faults.file_error(
      str(path),
      f"cannot be read ({untrusted.reason(error)})",
      "replace or remove it",
    ) from error
  digest = hashlib.sha256(sample).hexdigest()
  return status.st_size, status.st_mtime_ns, digest


def _read(path: pathlib.Path) -> tuple[os.stat_result, bytes]:
  """Status, beginning and end of a file, which is opened once.

  Raises:
    OSError: it is no regular file; a pipe is not waited for.
  """
  descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
  with io.FileIO(descriptor) as file:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
      raise OSError(errno.EINVAL, "It is a pipe, a device or a folder")
    if status.st_size <= 2 * SAMPLE:
      return status, file.readall()
    beginning = _exactly(file, SAMPLE)
    file.seek(-SAMPLE, os.SEEK_END)
    return status, beginning + _exactly(file, SAMPLE)


def _exactly(file: io.FileIO, size: int) -> bytes:
  """Reads so many bytes, in as many parts as the file system gives."""
  parts = []
  while size and (part := file.read(size)):
    parts.append(part)
    size -= len(part)
  return b"".join(parts)

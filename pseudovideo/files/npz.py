"""Arrays in npy and npz files, whose claims are checked before they are read.

numpy allocates what the header of an array claims, and a header can be as long
as it likes. Here an array must have as many bytes as its file, and a compressed
one no more than deflate could have made of them.
"""

import contextlib
import io
import math
import os
import zipfile
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np

from pseudovideo.files import untrusted

# An archive of 10,000 arrays has a directory of about 1 MB.
DIRECTORY_LIMIT = 4 * 2**20
# numpy has the same limit, but applies it after reading the header.
HEADER_LIMIT = 10_000
# Deflate makes at most 258 bytes of two bits.
DEFLATE_RATIO = 1032
_LENGTHS = {(1, 0): 2, (2, 0): 4}
_READERS = {
  (1, 0): np.lib.format.read_array_header_1_0,
  (2, 0): np.lib.format.read_array_header_2_0,
}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # a bit of an entry's flags


class Header(NamedTuple):
  """The header of an npy array.

  Attributes:
    shape: sizes, none negative.
    fortran: whether the first axis is the one that changes fastest.
    dtype: type of the numbers; no Python objects.
  """

  shape: tuple[int, ...]
  fortran: bool
  dtype: np.dtype


class _Bounded(io.BufferedReader):
  """A file that hands out no more than `limit` bytes at once, if it has one."""

  limit: int | None = DIRECTORY_LIMIT

  def read(self, size: int | None = -1) -> bytes:
    if self.limit is not None and (size or 0) > self.limit:
      raise ValueError(
        f"its directory has {size} bytes, and at most {self.limit} are read"
      )
    return super().read(size)


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
  """Opens a zip archive whose directory is short and has no repetitions.

  Raises:
    OSError: see `untrusted.opened`.
    ValueError: the directory is longer than `DIRECTORY_LIMIT`, or names an
      entry twice; the message is a clause.
    zipfile.BadZipFile: the file is no zip archive.
  """
  untrusted.opened(path).close()
  with _Bounded(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
    file.limit = None
    if len(archive.NameToInfo) < len(archive.filelist):
      raise ValueError("an entry occurs twice in it")
    yield archive


def check_entry(path: str | os.PathLike, info: zipfile.ZipInfo) -> None:
  """Refuses an entry that cannot have the size that it claims.

  Raises:
    ValueError: the size is impossible, the entry is encrypted, or compressed by
      another method than deflate; the message is a clause.
  """
  name, packed, size = info.filename[:80], info.compress_size, info.file_size
  if info.flag_bits & _ENCRYPTED:
    raise ValueError(f"its entry {name!r} is encrypted")
  if info.compress_type not in _METHODS:
    raise ValueError(
      f"its entry {name!r} is compressed by another method than deflate, "
      "which numpy.savez_compressed uses"
    )
  stored = info.compress_type == zipfile.ZIP_STORED
  if packed > os.path.getsize(path) or (stored and packed != size):
    raise ValueError(f"its entry {name!r} claims more bytes than the file has")
  if size > DEFLATE_RATIO * packed:
    raise ValueError(
      f"its entry {name!r} claims {size} bytes in {packed} compressed ones, "
      "which is impossible"
    )


def read_header(file: IO[bytes], size: int, name: str) -> Header:
  """Reads the header of an array; the file is then at its numbers.

  Args:
    file: a file at the first byte of the array.
    size: bytes of the array with its header.
    name: name of the array, for people.

  Raises:
    ValueError: there is no header, it is of another version than 1 and 2, the
      array holds Python objects, or has not as many numbers as its shape says;
      the message is a clause.
  """
  name = name[:80]
  version = np.lib.format.read_magic(file)
  if version not in _READERS:
    raise ValueError(f"{name!r} is of version {version}")
  prefix = file.read(_LENGTHS[version])
  length = int.from_bytes(prefix, "little")
  if length > HEADER_LIMIT:
    raise ValueError(
      f"the header of {name!r} has {length} bytes, and at most {HEADER_LIMIT} "
      "are read"
    )
  text = io.BytesIO(prefix + file.read(length))
  shape, fortran, dtype = _READERS[version](text)
  if dtype.hasobject:
    raise ValueError(f"{name!r} holds Python objects, not numbers")
  rest = size - file.tell()
  valid = min(shape, default=1) >= 0 and dtype.itemsize > 0
  if not valid or math.prod(shape) * dtype.itemsize != rest:
    raise ValueError(f"{name!r} has {rest} bytes for an array of shape {shape}")
  return Header(shape, fortran, dtype)


def read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
  """Reads the array of an entry that has passed `check_entry`; read-only.

  Raises:
    ValueError: see `read_header`; or the array ends too early.
    zipfile.BadZipFile: the checksum differs.
  """
  with archive.open(info) as file:
    read_header(file, info.file_size, info.filename)
    file.seek(0)
    array = np.lib.format.read_array(file, allow_pickle=False)
    file.read(1)  # zipfile compares the checksum at the end.
  array.flags.writeable = False
  return array

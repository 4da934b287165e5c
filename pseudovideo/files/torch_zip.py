"""Files of `torch.save`, read without torch and without running anything.

Such a file (since torch 1.6) is a zip archive: `NAME/data.pkl`, a pickle of
the objects, and `NAME/data/0`, `NAME/data/1`, .., the bytes of the tensors'
storages, uncompressed.
"""

import io
import os
import zipfile

import numpy as np

from pseudovideo.files import npz, torch_tensors


def check_plain(archive: zipfile.ZipFile, path: str | os.PathLike) -> None:
  """Refuses archives that could be larger in memory than on the disk.

  Raises:
    ValueError: entries are compressed, encrypted or overlapping; the message
      is a clause.
  """
  entries = archive.infolist()
  for entry in entries:
    if entry.compress_type != zipfile.ZIP_STORED:
      raise ValueError(
        f"its entry {entry.filename!r} is compressed; save the arrays "
        "uncompressed, as numpy.savez and torch.save do"
      )
    npz.check_entry(path, entry)
  if sum(entry.file_size for entry in entries) > os.path.getsize(path):
    raise ValueError("its entries claim more bytes than the file has")


def pickle_name(archive: zipfile.ZipFile) -> str | None:
  """Finds the entry that marks an archive as torch's; None without it."""
  names = [n for n in archive.namelist() if n.endswith("/data.pkl")]
  return min(names, key=len, default=None)


def read(archive: zipfile.ZipFile, name: str) -> dict[str, np.ndarray]:
  """Reads the mapping of names to tensors in a file, as read-only arrays.

  Args:
    archive: an archive that has passed `check_plain`.
    name: the archive's `pickle_name`.

  Raises:
    ValueError: the file is damaged, holds no such mapping, or its pickle does
      anything but build tensors and plain containers; the message is a clause.
  """
  root = name.removesuffix("data.pkl")
  if archive.getinfo(name).file_size > torch_tensors.PICKLE_LIMIT:
    raise ValueError(
      f"its pickle has more than {torch_tensors.PICKLE_LIMIT} bytes"
    )
  order = f"{root}byteorder"
  if order in archive.namelist() and archive.read(order) != b"little":
    raise ValueError("its numbers are not little-endian")
  loaded, named = torch_tensors.load(io.BytesIO(archive.read(name)))
  storages = {
    key: _read_storage(archive, f"{root}data/{key}", storage)
    for key, storage in named.items()
  }
  return torch_tensors.state_dict(loaded, storages)


def _read_storage(
  archive: zipfile.ZipFile, entry: str, storage: torch_tensors.Storage
) -> np.ndarray:
  info = archive.NameToInfo.get(entry)
  if info is None:
    raise ValueError(f"it lacks the entry {entry!r}")
  dtype, length = storage
  if info.file_size != length * dtype.itemsize:
    raise ValueError(
      f"its entry {entry!r} has {info.file_size} bytes and should hold "
      f"{length} numbers of {dtype.itemsize} bytes"
    )
  return np.frombuffer(archive.read(entry), dtype)

"""Files of `torch.save`, read without torch and without running anything.

Such a file (since torch 1.6) is a zip archive: `NAME/data.pkl`, a pickle of
the objects, and `NAME/data/0`, `NAME/data/1`, .., the bytes of the tensors'
storages, uncompressed.
"""

import os
import zipfile
from typing import Any

import numpy as np

from pseudovideo import npz_files
from pseudovideo.convert import pickles, torch_tensors


def check_plain(archive: zipfile.ZipFile, path: str | os.PathLike) -> None:
  """Refuses archives that could be larger in memory than on the disk.

  Raises:
    ValueError: compressed, encrypted or overlapping entries; a clause.
  """
  entries = archive.infolist()
  for entry in entries:
    if entry.compress_type != zipfile.ZIP_STORED:
      raise ValueError(
        f"its entry {entry.filename!r} is compressed; save the arrays "
        "uncompressed, as numpy.savez and torch.save do"
      )
    npz_files.check_entry(path, entry)
  if sum(entry.file_size for entry in entries) > os.path.getsize(path):
    raise ValueError("its entries claim more bytes than the file has")


def pickle_name(archive: zipfile.ZipFile) -> str | None:
  """The entry that makes an archive one of torch, if it is there."""
  names = [n for n in archive.namelist() if n.endswith("/data.pkl")]
  return min(names, key=len, default=None)


def read(archive: zipfile.ZipFile) -> Any:
  """The objects of the file, tensors as numpy arrays.

  Args:
    archive: that has passed `check_plain`.

  Raises:
    ValueError: it is damaged, or names anything but tensors and plain
      containers; the message is a clause.
  """
  name = pickle_name(archive)
  root = name.removesuffix("data.pkl")
  if archive.getinfo(name).file_size > torch_tensors.PICKLE_LIMIT:
    raise ValueError(
      f"its pickle has more than {torch_tensors.PICKLE_LIMIT} bytes"
    )
  order = f"{root}byteorder"
  if order in archive.namelist() and archive.read(order) != b"little":
    raise ValueError("its numbers are not little-endian")
  storages = _Storages(archive, root)
  return pickles.load(archive.read(name), torch_tensors.KNOWN, storages.get)


class _Storages:
  """The numbers behind the tensors, each read once.

  Args:
    archive: of the file.
    root: the folder in it.
  """

  def __init__(self, archive: zipfile.ZipFile, root: str):
    self._archive = archive
    self._root = root
    self._loaded = {}

  def get(self, place: Any) -> np.ndarray:
    """The storage that a pickle names.

    Args:
      place: ("storage", its type, its key, a device, its length).
    """
    tag, kind, key, _, length = place
    if tag != "storage" or type(key) is not str or type(length) is not int:
      raise TypeError
    if key not in self._loaded:
      self._loaded[key] = self._read(kind, key, length)
    storage, dtype = self._loaded[key], torch_tensors.storage_dtype(kind)
    if storage.dtype != dtype or storage.size != length:
      raise ValueError(f"its storage {key!r} is named with two sizes")
    return storage

  def _read(self, kind: Any, key: Any, length: Any) -> np.ndarray:
    entry = f"{self._root}data/{key}"
    info = self._archive.NameToInfo.get(entry)
    if info is None:
      raise ValueError(f"it lacks the entry {entry!r}")
    dtype = torch_tensors.storage_dtype(kind)
    size = info.file_size
    if size != length * dtype.itemsize:
      raise ValueError(
        f"its entry {entry!r} has {size} bytes and should hold {length} "
        f"numbers of {dtype.itemsize} bytes"
      )
    return np.frombuffer(self._archive.read(entry), dtype)

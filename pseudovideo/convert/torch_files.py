"""Files of `torch.save`, read without torch and without running anything.

Such a file (since torch 1.6) is a zip archive: `NAME/data.pkl`, a pickle of
the objects, and `NAME/data/0`, `NAME/data/1`, .., the bytes of the tensors'
storages, uncompressed.
"""

import math
import os
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np

from pseudovideo.convert import pickles

# A network of 600 tensors needs 0.1 MB.
PICKLE_LIMIT = 4 * 2**20

STORAGES = {
  "DoubleStorage": "<f8",
  "FloatStorage": "<f4",
  "HalfStorage": "<f2",
  "BFloat16Storage": jnp.bfloat16,
  "LongStorage": "<i8",
  "IntStorage": "<i4",
  "ShortStorage": "<i2",
  "CharStorage": "i1",
  "ByteStorage": "u1",
  "BoolStorage": "?",
}


def check_plain(archive: zipfile.ZipFile, path: str | os.PathLike) -> None:
  """Refuses archives that could be larger in memory than on the disk.

  Raises:
    ValueError: compressed, overlapping or repeated entries; a clause.
  """
  entries = archive.infolist()
  for entry in entries:
    if entry.compress_type != zipfile.ZIP_STORED:
      raise ValueError(
        f"its entry {entry.filename!r} is compressed; save the arrays "
        "uncompressed, as numpy.savez and torch.save do"
      )
  if sum(entry.file_size for entry in entries) > os.path.getsize(path):
    raise ValueError("its entries claim more bytes than the file has")
  if len({entry.filename for entry in entries}) < len(entries):
    raise ValueError("an entry occurs twice in it")


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
  if archive.getinfo(name).file_size > PICKLE_LIMIT:
    raise ValueError(f"its pickle has more than {PICKLE_LIMIT} bytes")
  order = f"{root}byteorder"
  if order in archive.namelist() and archive.read(order) != b"little":
    raise ValueError("its numbers are not little-endian")
  storages = _Storages(archive, root)
  known = {f"torch.{storage}": None for storage in STORAGES} | {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": dict,
    "argparse.Namespace": pickles.Inert,
  }
  return pickles.load(archive.read(name), known, storages.get)


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
    storage = self._loaded[key]
    if storage.dtype != _dtype(kind) or storage.size != length:
      raise ValueError(f"its storage {key!r} is named with two sizes")
    return storage

  def _read(self, kind: Any, key: Any, length: Any) -> np.ndarray:
    entry = f"{self._root}data/{key}"
    if entry not in self._archive.namelist():
      raise ValueError(f"it lacks the entry {entry!r}")
    dtype = _dtype(kind)
    size = self._archive.getinfo(entry).file_size
    if size != length * dtype.itemsize:
      raise ValueError(
        f"its entry {entry!r} has {size} bytes and should hold {length} "
        f"numbers of {dtype.itemsize} bytes"
      )
    return np.frombuffer(self._archive.read(entry), dtype)


def _dtype(kind: pickles.Global) -> np.dtype:
  return np.dtype(STORAGES[kind.name.removeprefix("torch.")])


def _tensor(storage, offset, size, stride, *_) -> np.ndarray:
  """A view of the storage; strides count numbers, not bytes."""
  numbers = (offset, *size, *stride)
  if type(storage) is not np.ndarray or any(
    type(n) is not int for n in numbers
  ):
    raise TypeError
  count = math.prod(size)
  last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=False))
  inside = not count or (last < storage.size and count <= storage.size)
  if len(size) != len(stride) or min(numbers) < 0 or not inside:
    raise ValueError(
      f"a tensor of shape {size} and strides {stride} does not fit its "
      f"storage of {storage.size} numbers"
    )
  if not count:
    return np.zeros(size, storage.dtype)
  return np.lib.stride_tricks.as_strided(
    storage[offset:],
    size,
    [step * storage.itemsize for step in stride],
    writeable=False,
  )


def _parameter(tensor, *_) -> np.ndarray:
  return tensor

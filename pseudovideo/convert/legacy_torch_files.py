"""Files of `torch.save` before torch 1.6, read without running anything.

Such a file is a row of five pickles: a magic number, the version of the
format, facts about the machine, the objects, and the keys of the tensors'
storages. The storages follow in the order of the keys, each as the count of
its numbers (8 bytes, little-endian) and the numbers. Where one begins depends
on the types of those before it, which only the pickle of the objects tells. It
is therefore gone through twice: for the types, then for the tensors.
"""

import io
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pseudovideo.convert import pickles, torch_tensors

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


class _Place(NamedTuple):
  """How a pickle names a storage, or a part of one."""

  key: str
  dtype: np.dtype
  length: int
  part: slice


def read(path: str | os.PathLike) -> Any:
  """The objects of the file, tensors as views of a read-only memory map.

  Raises:
    ValueError: it is damaged, or names anything but tensors and plain
      containers; the message is a clause.
  """
  data = np.asarray(np.memmap(path, np.uint8, "r"))
  stream = io.BytesIO(data[: torch_tensors.PICKLE_LIMIT].tobytes())
  _check_start(stream)
  start = stream.tell()
  claims = _claims(stream)
  keys = _plain(stream)
  storages = _storages(data, stream.tell(), keys, claims)

  def storage(named):
    place = _place(named)
    return storages[place.key][place.part]

  stream.seek(start)
  return pickles.load(stream, torch_tensors.KNOWN, storage)


def _check_start(stream: io.BytesIO) -> None:
  if _plain(stream) != MAGIC:
    raise ValueError("it is a pickle that does not begin as those of torch")
  version = _plain(stream)
  if version != VERSION:
    # Other objects than numbers could take for ever to print.
    found = version if type(version) is int else type(version).__name__
    raise ValueError(f"its version is {found} and not {VERSION}")
  machine = _plain(stream)
  if not isinstance(machine, dict) or machine.get("little_endian") is not True:
    raise ValueError("its numbers are not little-endian")


def _plain(stream: io.BytesIO) -> Any:
  """The next pickle, without tensors."""

  def storage(_):
    raise TypeError

  return pickles.load(stream, torch_tensors.KNOWN, storage)


def _claims(stream: io.BytesIO) -> dict[str, tuple[np.dtype, int]]:
  """Types and lengths of the storages that the next pickle names, by key."""
  claims = {}

  def storage(named):
    place = _place(named)
    claim = (place.dtype, place.length)
    if claims.setdefault(place.key, claim) != claim:
      raise ValueError(f"its storage {place.key!r} is named with two sizes")

  def nothing(*_):
    return pickles.Inert()

  pickles.load(stream, torch_tensors.known(nothing, nothing), storage)
  return claims


def _place(named: Any) -> _Place:
  """Checks ("storage", type, key, device, length, None or a part).

  A part is (another key, its begin, its length).
  """
  tag, kind, key, _, length, part = _of_length(named, 6)
  begin, taken = (0, length) if part is None else _of_length(part, 3)[1:]
  numbers = (length, begin, taken)
  if tag != "storage" or type(key) is not str:
    raise TypeError
  if any(type(number) is not int for number in numbers):
    raise TypeError
  if min(numbers) < 0 or begin + taken > length:
    raise ValueError(
      f"its storage {key!r} is named with the length {length}, and of it "
      f"{taken} numbers from {begin} on"
    )
  dtype = torch_tensors.storage_dtype(kind)
  return _Place(key, dtype, length, slice(begin, begin + taken))


def _of_length(value: Any, length: int) -> tuple[Any, ...]:
  if type(value) is not tuple or len(value) != length:
    raise TypeError
  return value


def _storages(
  data: np.ndarray,
  end: int,
  keys: Any,
  claims: Mapping[str, tuple[np.dtype, int]],
) -> dict[str, np.ndarray]:
  """Views of the file's bytes, from the byte `end` to the last."""
  if type(keys) is not list or any(type(key) is not str for key in keys):
    raise ValueError("it lacks the list of its storages")
  if sorted(keys) != sorted(claims):
    raise ValueError(
      f"it lists {len(keys)} storages, which are not the {len(claims)} that "
      "its tensors name"
    )
  found = {}
  for key in keys:
    dtype, length = claims[key]
    begin, end = end + 8, end + 8 + length * dtype.itemsize
    if end > data.size:
      raise ValueError(
        f"its storage {key!r} should end at byte {end} and the file has "
        f"{data.size}"
      )
    count = int.from_bytes(data[begin - 8 : begin].tobytes(), "little")
    if count != length:
      raise ValueError(
        f"its storage {key!r} has {count} numbers and should have {length}"
      )
    found[key] = data[begin:end].view(dtype)
  if end != data.size:
    raise ValueError(f"{data.size - end} bytes follow its last storage")
  return found

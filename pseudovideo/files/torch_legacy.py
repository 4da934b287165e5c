"""Files of `torch.save` before torch 1.6, read without running anything.

Such a file is a row of five pickles: a magic number, the version of the
format, facts about the machine, the objects, and the keys of the tensors'
storages. The storages follow in the order of the keys, each as the count of
its numbers (8 bytes, little-endian) and the numbers. Where a storage begins
depends on the types of the storages before it, given by the pickle of objects.
"""

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from pseudovideo.files import torch_tensors

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads the mapping of names to tensors: views of a read-only memory map.

  Raises:
    ValueError: the file is damaged, holds no such mapping, or its pickles do
      anything but build tensors and plain containers; the message is a clause.
  """
  data = np.asarray(np.memmap(path, np.uint8, "r"))
  stream = io.BytesIO(data[: torch_tensors.PICKLE_LIMIT].tobytes())
  _check_start(stream)
  loaded, named = torch_tensors.load(stream)
  keys, _ = torch_tensors.load(stream)
  storages = _storages(data, stream.tell(), keys, named)
  return torch_tensors.state_dict(loaded, storages)


def _check_start(stream: io.BytesIO) -> None:
  magic, _ = torch_tensors.load(stream)
  if magic != MAGIC:
    raise ValueError("it is a pickle that does not begin as torch's files do")
  version, _ = torch_tensors.load(stream)
  if version != VERSION:
    # Other objects than numbers could take for ever to print.
    found = version if type(version) is int else type(version).__name__
    raise ValueError(f"its version is {found} and not {VERSION}")
  machine, _ = torch_tensors.load(stream)
  if not isinstance(machine, dict) or machine.get("little_endian") is not True:
    raise ValueError("its numbers are not little-endian")


def _storages(
  data: np.ndarray,
  end: int,
  keys: Any,
  named: Mapping[str, torch_tensors.Storage],
) -> dict[str, np.ndarray]:
  """Views of the file's bytes, from the byte `end` to the last."""
  if type(keys) is not list or any(type(key) is not str for key in keys):
    raise ValueError("it lacks the list of its storages")
  if sorted(keys) != sorted(named):
    raise ValueError(
      f"it lists {len(keys)} storages, which are not the {len(named)} that "
      "its tensors name"
    )
  found = {}
  for key in keys:
    dtype, length = named[key]
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

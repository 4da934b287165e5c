"""The safetensors format: names, types and places in JSON, then the bytes.

A file is 8 bytes that say how long the header is (little-endian), the header,
and the arrays, one after the other without gaps.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

# A network of 600 arrays needs 0.1 MB.
HEADER_LIMIT = 4 * 2**20
MAX_AXES = 64  # numpy's

DTYPES = {
  "F64": "<f8",
  "F32": "<f4",
  "F16": "<f2",
  "BF16": jnp.bfloat16,
  "I64": "<i8",
  "I32": "<i4",
  "I16": "<i2",
  "I8": "i1",
  "U64": "<u8",
  "U32": "<u4",
  "U16": "<u2",
  "U8": "u1",
  "BOOL": "?",
}


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The arrays of a file, mapped into memory and read-only.

  Raises:
    ValueError: the header is not valid, or does not fit the file; the message
      is a clause.
  """
  size = os.path.getsize(path)
  with open(path, "rb") as file:
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
      raise ValueError(
        f"its header would have {length} bytes and the file has {size}"
      )
    if length > HEADER_LIMIT:
      raise ValueError(
        f"its header has {length} bytes, and at most {HEADER_LIMIT} are read"
      )
    header = json.loads(file.read(length), object_pairs_hook=_without_repeats)
  if not isinstance(header, dict):
    raise ValueError("its header is no mapping")
  header.pop("__metadata__", None)
  return _arrays(path, 8 + length, size, header)


def _arrays(
  path: str | os.PathLike, start: int, size: int, header: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  entries = {name: _entry(name, entry) for name, entry in header.items()}
  end = 0
  for name, (_, _, places) in sorted(
    entries.items(), key=lambda item: item[1][2]
  ):
    if places[0] != end:
      raise ValueError(
        f"{name!r} begins at byte {places[0]} of the data, where the array "
        f"before it ends at {end}"
      )
    end = places[1]
  if end != size - start:
    raise ValueError(
      f"its arrays have {end} bytes and the file has {size - start} for them"
    )
  if not end:
    return {name: np.zeros(s, d) for name, (d, s, _) in entries.items()}
  data = np.memmap(path, np.uint8, "r", start)
  return {
    name: data[slice(*places)].view(dtype).reshape(shape)
    for name, (dtype, shape, places) in entries.items()
  }


def _entry(
  name: str, entry: Any
) -> tuple[np.dtype, tuple[int, ...], tuple[int, int]]:
  """Type, shape, begin and end of an array."""
  if not isinstance(entry, dict) or {"dtype", "shape", "data_offsets"} - set(
    entry
  ):
    raise ValueError(f"{name!r} lacks its dtype, shape or data_offsets")
  shape, places = entry["shape"], entry["data_offsets"]
  numbers = isinstance(shape, list) and isinstance(places, list)
  if not numbers or len(shape) > MAX_AXES or not _are_sizes(shape + places):
    raise ValueError(f"{name!r} has the shape {shape!r} at {places!r}")
  if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
    raise ValueError(
      f"{name!r} is of type {entry['dtype']!r}, not one of {', '.join(DTYPES)}"
    )
  dtype = np.dtype(DTYPES[entry["dtype"]])
  needed = math.prod(shape) * dtype.itemsize
  if len(places) != 2 or places[1] - places[0] != needed:
    raise ValueError(
      f"{name!r} of shape {tuple(shape)} needs {needed} bytes and has the "
      f"places {places}"
    )
  return dtype, tuple(shape), tuple(places)


def _are_sizes(numbers: list[Any]) -> bool:
  return all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  names = dict(pairs)
  if len(names) < len(pairs):
    raise ValueError("a name occurs twice in its header")
  return names


def write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes arrays, cast to float32."""
  header, end = {}, 0
  for name, array in arrays.items():
    begin, end = end, end + 4 * array.size
    header[name] = {
      "dtype": "F32",
      "shape": list(array.shape),
      "data_offsets": [begin, end],
    }
  text = json.dumps(header).encode()
  text += b" " * (-len(text) % 8)
  with path.open("wb") as file:
    file.write(len(text).to_bytes(8, "little") + text)
    for array in arrays.values():
      file.write(np.ascontiguousarray(array, "<f4").tobytes())

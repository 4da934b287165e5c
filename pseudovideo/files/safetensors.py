"""The safetensors format, read and written by the library of that name.

The library checks that the header is valid, and that the arrays cover the file
without gaps; it executes nothing. What it leaves to its caller is done here: a
header's length is compared with the file's before memory is taken for it.
"""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors.numpy

# A network of 600 arrays needs 0.1 MB; the library would take 100 MB.
HEADER_LIMIT = 4 * 2**20


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads the arrays of a file, read-only, by name.

  Raises:
    ValueError: the header is longer than the file, or than `HEADER_LIMIT`, or
      an array is of a type that numpy lacks; the message is a clause.
    safetensors.SafetensorError: the header is not valid, or does not fit the
      file.
  """
  _check_header(path)
  try:
    arrays = safetensors.numpy.load_file(path)
  except AttributeError as error:
    raise ValueError("an array in it is of a type that numpy lacks") from error
  for array in arrays.values():
    array.flags.writeable = False
  return arrays


def metadata(path: str | os.PathLike) -> dict[str, str]:
  """Reads the metadata of a file, without its arrays.

  Raises:
    ValueError: see `read`.
    safetensors.SafetensorError: see `read`.
  """
  _check_header(path)
  with safetensors.safe_open(path, "numpy") as file:
    return file.metadata() or {}


def _check_header(path: str | os.PathLike) -> None:
  """Refuses the header's length, see `read`."""
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


def write(
  path: pathlib.Path,
  arrays: Mapping[str, np.ndarray],
  metadata: dict[str, str] | None = None,
) -> None:
  """Writes arrays, cast to float32.

  Args:
    path: path of the file.
    arrays: arrays by name.
    metadata: texts by name; of more than one the library chooses the order.

  Raises:
    OSError: it cannot be written. (For a full disk the library itself has an
      error of its own, and its files are for their owner alone.)
  """
  cast = {n: np.asarray(a, "<f4", order="C") for n, a in arrays.items()}
  path.write_bytes(safetensors.numpy.save(cast, metadata))

"""Weights in files: safetensors, npz, and what `torch.save` writes.

Files of weights come from strangers. Nothing in them is executed, and nothing
is allocated before the size that they claim was compared with the file's.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from pseudovideo import errors
from pseudovideo.files import (
  atomic,
  npz,
  safetensors,
  torch_legacy,
  torch_zip,
  untrusted,
)

FORMATS = "a safetensors, npz or torch file"
SUFFIXES = (".npz", ".safetensors")


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads the arrays of a file, by name, in the types that they have there.

  The contents say which format it is. A torch file may hold the mapping of
  names to tensors itself, or in one of its entries, as `state_dict`.

  Args:
    path: path of the file.

  Returns:
    {name: read-only array}.

  Raises:
    UserError: there is no such file, it has none of the formats, is damaged,
      is compressed, or a pickle in it asks for more than tensors.
  """
  try:
    with untrusted.opened(path) as file:
      start = file.read(64)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
      return _read_zip(path)
    if start[8:9] == b"{":
      return safetensors.read(path)
    if start[:1] == b"\x80":
      return torch_legacy.read(path)
    raise ValueError(f"it begins with {start[:8]!r}")
  except Exception as error:  # A damaged file can raise a dozen kinds.
    raise errors.UserError(
      f"{path} cannot be read as {FORMATS}: {untrusted.reason(error)}."
    ) from error


def write(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes float32 arrays, replacing the file in one step.

  Args:
    path: path that ends in `.npz` or `.safetensors`.
    arrays: arrays by name.

  Raises:
    UserError: the path has another ending.
    OSError: the file cannot be written; names it.
  """
  path = pathlib.Path(path)
  check_suffix(path)
  with atomic.replacing(path) as part:
    if path.suffix == ".npz":
      _write_npz(part, arrays)
    else:
      safetensors.write(part, arrays)


def _write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  cast: dict[str, Any] = {n: np.asarray(a, "<f4") for n, a in arrays.items()}
  with path.open("wb") as file:
    np.savez(file, **cast)


def check_suffix(path: str | os.PathLike) -> None:
  """Raises `UserError` for a file name that `write` does not take."""
  suffix = pathlib.Path(path).suffix
  if suffix not in SUFFIXES:
    raise errors.unknown("format of weights", suffix, SUFFIXES)


def _read_zip(path: str | os.PathLike) -> dict[str, np.ndarray]:
  with npz.opened(path) as archive:
    torch_zip.check_plain(archive, path)
    if (name := torch_zip.pickle_name(archive)) is not None:
      return torch_zip.read(archive, name)
    return {
      info.filename.removesuffix(".npy"): npz.read_array(archive, info)
      for info in archive.infolist()
    }

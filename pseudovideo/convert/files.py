"""Weights in files: safetensors, npz, and those of `torch.save`.

Files of weights come from strangers. Nothing in them is executed, and nothing
is allocated before the size that they claim was compared with the file's.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from pseudovideo import errors, foreign, npz_files
from pseudovideo.convert import legacy_torch_files, safetensors, torch_files

FORMATS = "a safetensors, npz or torch file"
SUFFIXES = (".npz", ".safetensors")


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The arrays of a file, by name, in the types that they have there.

  The format is told from the contents. A torch file may hold the mapping of
  names to tensors itself, or in one of its entries, as `state_dict`.

  Args:
    path: of the file.

  Returns:
    {name: read-only array}.

  Raises:
    UserError: there is no such file, it has none of the formats, is damaged,
      is compressed, or a pickle in it asks for more than tensors.
  """
  try:
    with foreign.opened(path) as file:
      start = file.read(64)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
      return _read_zip(path)
    if start[8:9] == b"{":
      return safetensors.read(path)
    if start[:1] == b"\x80":
      return _state_dict(legacy_torch_files.read(path))
    raise ValueError(f"it begins with {start[:8]!r}")
  except Exception as error:  # A damaged file can raise a dozen kinds.
    raise errors.UserError(
      f"{path} cannot be read as {FORMATS}: {foreign.reason(error)}."
    ) from error


def write(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes float32 arrays, replacing the file in one step.

  Args:
    path: ends in `.npz` or `.safetensors`.
    arrays: by name.

  Raises:
    UserError: another ending.
  """
  path = pathlib.Path(path)
  check_suffix(path)
  part = path.with_name(f".{path.name}.{os.getpid()}.part")
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.suffix == ".npz":
    cast = {name: np.asarray(array, "<f4") for name, array in arrays.items()}
    with part.open("wb") as file:
      np.savez(file, **cast)
  else:
    safetensors.write(part, arrays)
  part.replace(path)


def check_suffix(path: str | os.PathLike) -> None:
  """Raises `UserError` for a file name that `write` does not take."""
  suffix = pathlib.Path(path).suffix
  if suffix not in SUFFIXES:
    raise errors.unknown("format of weights", suffix, SUFFIXES)


def _read_zip(path: str | os.PathLike) -> dict[str, np.ndarray]:
  with npz_files.opened(path) as archive:
    torch_files.check_plain(archive, path)
    if torch_files.pickle_name(archive) is not None:
      return _state_dict(torch_files.read(archive))
    return {
      info.filename.removesuffix(".npy"): npz_files.read_array(archive, info)
      for info in archive.infolist()
    }


def _state_dict(loaded: Any) -> dict[str, np.ndarray]:
  """The one mapping of names to arrays in an object of a torch file."""
  if _is_state_dict(loaded):
    return loaded
  if not isinstance(loaded, dict):
    raise ValueError(
      f"it holds a {type(loaded).__name__} and no mapping of names to tensors"
    )
  # A pickle may name one object many times.
  different = {id(value): value for value in loaded.values()}
  good = {key for key, value in different.items() if _is_state_dict(value)}
  found = [name for name, value in loaded.items() if id(value) in good]
  if len(found) != 1:
    raise ValueError(
      f"of its entries, {', '.join(map(repr, list(loaded)[:8]))}, "
      f"{len(found) or 'none'} are mappings of names to tensors, and one "
      "should be"
    )
  return loaded[found[0]]


def _is_state_dict(value: Any) -> bool:
  return (
    isinstance(value, dict)
    and len(value) > 0
    and all(
      isinstance(name, str) and isinstance(array, np.ndarray)
      for name, array in value.items()
    )
  )

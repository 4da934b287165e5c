"""Reads one checkpoint and checks every array by its hash.

Arrays are read by orbax's storage library, TensorStore, one by one, so that a
fault is reported for the array that has it.
"""

import json
import pathlib
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

import jax
import numpy as np
import tensorstore as ts

from pseudovideo import errors
from pseudovideo.files import plain_names
from pseudovideo.runs.checkpoints import entries, older

METADATA = "_CHECKPOINT_METADATA"  # orbax's file that holds our manifest


class Damaged(Exception):
  """A step cannot be trusted; the message says why."""


def read_manifest(path: pathlib.Path) -> dict[str, Any]:
  """Reads the manifest of the step directory `path`.

  Raises:
    Damaged: the manifest is missing, altered, or belongs to another step.
    UserError: it may not be read, or a later version wrote it.
  """
  try:
    content = (path / METADATA).read_bytes()
  except PermissionError as error:
    raise _not_allowed(path) from error
  except OSError as error:
    reason = f"{type(error).__name__}: {error}"
    raise Damaged(f"its manifest cannot be read ({reason})") from error
  try:
    record = json.loads(content)["custom_metadata"]
    manifest, recorded = record["manifest"], record["sha256"]
  except (ValueError, KeyError, TypeError, RecursionError) as error:
    reason = f"{type(error).__name__}: {error}"
    raise Damaged(f"its manifest cannot be read ({reason})") from error
  if recorded != entries.manifest_hash(manifest):
    raise Damaged("its manifest is not the one that was written (SHA-256)")
  if str(manifest["step"]) != path.name:
    raise Damaged(f"it holds step {manifest['step']}")
  return older.translated(manifest)


def _open_array(
  path: pathlib.Path, name: str, entry: Mapping[str, Any], context: ts.Context
) -> ts.TensorStore | None:
  """Opens an array, of the shape and type that was saved; None if empty.

  Raises:
    Damaged: it is missing, or of another shape or type.
  """
  stored = entry["stored"]
  if 0 in stored["shape"]:
    return None
  spec = {
    "driver": "zarr3",
    "kvstore": {
      "driver": "ocdbt",
      "base": {"driver": "file", "path": f"{path}/state/"},
      "path": f"{entry.get('stored_as', name)}/",
    },
    "fill_missing_data_reads": False,
  }
  try:
    store = ts.open(spec, open=True, read=True, context=context).result()
    found = {
      "shape": list(store.shape),
      "dtype": str(store.dtype.numpy_dtype),
    }
  except Exception as error:
    raise _unreadable(path, name, error) from error
  if found != stored:  # A damaged shape could ask for any memory.
    raise _altered(name)
  return store


def _read_array(
  path: pathlib.Path, name: str, entry: Mapping[str, Any], context: ts.Context
) -> np.ndarray:
  store = _open_array(path, name, entry, context)
  if store is None:
    stored = entry["stored"]
    return np.zeros(stored["shape"], jax.numpy.dtype(stored["dtype"]))
  try:
    array = np.asarray(store.read().result())
  except Exception as error:
    raise _unreadable(path, name, error) from error
  if entries.array_hash(entry, array) != entry["sha256"]:
    raise _altered(name)
  if not entries.is_finite(array):
    raise Damaged(f"the array {name} holds numbers that are not finite")
  return array


def _not_allowed(path: pathlib.Path) -> errors.UserError:
  return errors.UserError(
    f"The checkpoint {path} may not be read by this user; change its "
    "permissions."
  )


def _unreadable(path: pathlib.Path, name: str, error: Exception) -> Exception:
  if "PERMISSION_DENIED" in str(error):
    return _not_allowed(path)
  reason = str(error).split(" [tensorstore_spec")[0]
  return Damaged(f"the array {name} cannot be read ({reason})")


def _altered(name: str) -> Damaged:
  return Damaged(f"the array {name} is not the one that was saved (SHA-256)")


def read_arrays(
  path: pathlib.Path, wanted: Mapping[str, Mapping[str, Any]]
) -> dict[str, np.ndarray]:
  """Reads and checks the arrays of some entries of a manifest.

  Raises:
    Damaged: arrays are missing, altered or not finite; names the first three.
    UserError: a file may not be read.
  """
  return _for_each(path, wanted, _read_array)


def verify(path: pathlib.Path) -> None:
  """Reads back the manifest, and the shape and type of every array.

  Raises:
    Damaged: what is there cannot be restored.
  """
  _for_each(path, read_manifest(path)["arrays"], _open_array)


def _for_each(
  path: pathlib.Path,
  wanted: Mapping[str, Mapping[str, Any]],
  work: Callable[..., Any],
) -> dict[str, Any]:
  """Calls `_open_array` or `_read_array` for all entries, in eight threads."""
  context = ts.Context()
  results, faults = {}, []
  with (
    plain_names.folder(path.parent) as parent,
    futures.ThreadPoolExecutor(8) as pool,
  ):
    pending = {
      name: pool.submit(work, parent / path.name, name, entry, context)
      for name, entry in wanted.items()
    }
    for name, future in pending.items():
      try:
        results[name] = future.result()
      except Damaged as error:
        faults.append(error)
  if faults:
    more = [f"and {len(faults) - 3} more arrays"] if len(faults) > 3 else []
    reasons = [str(fault) for fault in faults[:3]]
    raise Damaged("; ".join(reasons + more)) from faults[0]
  return results

"""One checkpoint on disk: a directory named after its step.

Orbax writes it (into a temporary directory that it renames at the end), in
its usual format: OCDBT and zarr, one array per leaf, no pickle. Orbax keeps no
checksum of the contents, so a manifest travels in its metadata:

    {"step", "config", "format", "versions", "parts", "arrays": {name: entry}}

where an entry holds the leaf's path, shape, dtype and the SHA-256 of these and
its bytes; the manifest has a SHA-256 of its own. Arrays are read by orbax's
storage library, TensorStore, one by one, so that a fault is reported for the
array that has it.
"""

import errno
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import shutil
from collections.abc import Iterable, Mapping
from concurrent import futures
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts
from absl import logging
from jax.experimental import multihost_utils

import pseudovideo
from pseudovideo.runs.checkpoints import older

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "numpy")
METADATA = "_CHECKPOINT_METADATA"  # orbax's file that holds our manifest
TEMPORARY = ".orbax-checkpoint-tmp"  # in the names of orbax's unfinished work

# Orbax logs every save in a dozen lines, and every failure in pages; failures
# are raised as well, so nothing is lost.
logging.get_absl_logger().addFilter(
  lambda record: "/orbax/checkpoint/" not in record.pathname
)


class Damaged(Exception):
  """A step cannot be trusted; the message says why."""


def named_leaves(tree: Any) -> dict[str, tuple[tuple[str, ...], Any]]:
  """Names the leaves of a pytree: `{"params.conv.bias": (path, leaf)}`.

  Raises:
    ValueError: two leaves would get one name.
  """
  leaves = {}
  for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
    path = tuple(jax.tree_util.keystr((key,), simple=True) for key in keys)
    name = ".".join(path)
    if name in leaves:
      raise ValueError(f"Two arrays of the state are both named {name!r}.")
    leaves[name] = (path, leaf)
  return leaves


def nest(leaves: Iterable[tuple[Iterable[str], Any]]) -> dict[str, Any]:
  """Makes nested dicts of pairs (path, leaf)."""
  tree: dict[str, Any] = {}
  for path, leaf in leaves:
    *parents, last = path
    node = tree
    for name in parents:
      node = node.setdefault(name, {})
    node[last] = leaf
  return tree


def describe(array: Any) -> dict[str, Any]:
  """The shape and dtype of real or abstract arrays, as JSON."""
  return {"shape": list(array.shape), "dtype": str(array.dtype)}


def is_key(array: Any) -> bool:
  """True if this is an array of typed random keys."""
  return jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key)


def copy_to_host(
  state: Mapping[str, Any],
) -> tuple[dict[str, dict], dict[str, np.ndarray]]:
  """Copies every leaf, so that the caller may donate the state afterwards.

  All processes must call it: the pieces of a leaf are gathered.

  Args:
    state: {part: pytree of jax or numpy arrays}.

  Returns:
    {name: entry of the manifest, still without hash}, {name: copy}.

  Raises:
    ValueError: a leaf that is not an array.
  """
  entries, sources = {}, {}
  for name, (path, leaf) in named_leaves(dict(state)).items():
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
      raise ValueError(
        f"{name} is {leaf!r}; a checkpoint holds jax and numpy arrays only."
      )
    entries[name] = {"path": path, **describe(leaf)}
    if isinstance(leaf, jax.Array) and is_key(leaf):
      entries[name]["impl"] = str(jax.random.key_impl(leaf))
      leaf = jax.random.key_data(leaf)
    if isinstance(leaf, jax.Array):
      if leaf.is_fully_replicated:
        leaf = leaf.addressable_data(0)
      if leaf.is_fully_addressable:
        leaf.copy_to_host_async()
    sources[name] = leaf
  copies = {name: _on_host(leaf) for name, leaf in sources.items()}
  for name, copy in copies.items():
    entries[name]["stored"] = describe(copy)
  return entries, copies


def _on_host(leaf: Any) -> np.ndarray:
  """Copies a leaf; one that is cut over processes is gathered from all."""
  if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
    return np.array(multihost_utils.process_allgather(leaf, tiled=True))
  return np.array(leaf)


def _array_hash(entry: Mapping[str, Any], array: np.ndarray) -> str:
  head = f"{entry['dtype']} {list(entry['shape'])} {describe(array)}\n"
  result = hashlib.sha256(head.encode())
  result.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
  return result.hexdigest()


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
  return hashlib.sha256(
    json.dumps(manifest, sort_keys=True).encode()
  ).hexdigest()


def write(
  path: pathlib.Path,
  manifest: Mapping[str, Any],
  copies: Mapping[str, np.ndarray],
) -> None:
  """Writes the directory `path`, which appears whole or not at all.

  Args:
    path: path that does not exist; its name is the step.
    manifest: {"step", "config", "parts", "arrays"} without the hashes.
    copies: {name: array} of the manifest's arrays.

  Raises:
    OSError: the disk has less room than the arrays take uncompressed.
  """
  needed = sum(copy.nbytes for copy in copies.values())
  free = shutil.disk_usage(path.parent).free
  if needed > free:
    text = f"{needed / 1e6:.3g} MB are needed, {free / 1e6:.3g} MB are free"
    raise OSError(errno.ENOSPC, text)
  versions = {name: importlib.metadata.version(name) for name in PACKAGES}
  versions |= {
    "python": platform.python_version(),
    "pseudovideo": pseudovideo.__version__,
  }
  arrays = {
    name: {**entry, "sha256": _array_hash(entry, copies[name])}
    for name, entry in manifest["arrays"].items()
  }
  manifest = {
    **manifest,
    "format": older.FORMAT,
    "versions": versions,
    "arrays": arrays,
  }
  manifest = json.loads(json.dumps(manifest))
  tree = nest(
    (entry["path"], copies[name])
    for name, entry in arrays.items()
    if copies[name].size  # orbax refuses empty arrays; the entry says it all
  )
  with _orbax() as checkpointer:
    checkpointer.save(
      path,
      args=ocp.args.Composite(state=ocp.args.PyTreeSave(tree)),
      custom_metadata={
        "manifest": manifest,
        "sha256": _manifest_hash(manifest),
      },
    )


def _orbax() -> ocp.Checkpointer:
  """A checkpointer that waits for no other process.

  Orbax's newer interface, `orbax.checkpoint.v1`, compares the path with the
  other processes' paths on the devices, which may be in the middle of a step.
  """
  me = jax.process_index()
  alone = ocp.options.MultiprocessingOptions(
    primary_host=me, active_processes={me}, barrier_sync_key_prefix="alone"
  )
  arrays = ocp.PyTreeCheckpointHandler(
    use_ocdbt=True, use_zarr3=True, multiprocessing_options=alone
  )
  options = ocp.CompositeOptions(multiprocessing_options=alone)
  parts = ocp.CompositeCheckpointHandler(
    composite_options=options, state=arrays
  )
  return ocp.Checkpointer(parts, multiprocessing_options=alone)


def read_manifest(path: pathlib.Path) -> dict[str, Any]:
  """Reads the manifest of the step directory `path`.

  Raises:
    Damaged: the manifest is missing, altered, or belongs to another step.
  """
  try:
    record = json.loads((path / METADATA).read_bytes())["custom_metadata"]
    manifest, recorded = record["manifest"], record["sha256"]
  except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
    reason = f"{type(error).__name__}: {error}"
    raise Damaged(f"its manifest cannot be read ({reason})") from error
  if recorded != _manifest_hash(manifest):
    raise Damaged("its manifest is not the one that was written (SHA-256)")
  if str(manifest["step"]) != path.name:
    raise Damaged(f"it holds step {manifest['step']}")
  return older.translated(manifest)


def _read_array(
  path: pathlib.Path, name: str, entry: Mapping[str, Any], context: ts.Context
) -> np.ndarray:
  stored = entry["stored"]
  if 0 in stored["shape"]:
    return np.zeros(stored["shape"], jax.numpy.dtype(stored["dtype"]))
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
    good = found == stored  # a damaged shape could ask for any memory
    array = np.asarray(store.read().result()) if good else None
  except Exception as error:
    reason = str(error).split(" [tensorstore_spec")[0]
    raise Damaged(f"the array {name} cannot be read ({reason})") from error
  if array is None or _array_hash(entry, array) != entry["sha256"]:
    raise Damaged(f"the array {name} is not the one that was saved (SHA-256)")
  return array


def read_arrays(
  path: pathlib.Path, entries: Mapping[str, Mapping[str, Any]]
) -> dict[str, np.ndarray]:
  """Reads and checks the arrays of some entries of a manifest.

  Raises:
    Damaged: arrays are missing or altered; names the first three.
  """
  context = ts.Context()
  arrays, faults = {}, []
  with futures.ThreadPoolExecutor(8) as pool:
    pending = {
      name: pool.submit(_read_array, path, name, entry, context)
      for name, entry in entries.items()
    }
    for name, future in pending.items():
      try:
        arrays[name] = future.result()
      except Damaged as error:
        faults.append(error)
  if faults:
    more = [f"and {len(faults) - 3} more arrays"] if len(faults) > 3 else []
    reasons = [str(fault) for fault in faults[:3]]
    raise Damaged("; ".join(reasons + more)) from faults[0]
  return arrays

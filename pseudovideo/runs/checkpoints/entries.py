"""The arrays of a state by name, with shapes, types and hashes.

Each leaf of a state has an entry in the manifest of its checkpoint: path, shape
and dtype of the leaf, and of what is stored of it; `sha256`, of these and the
bytes; and `impl` for random keys.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


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


def is_finite(array: np.ndarray) -> bool:
  """True if an array has no infinite number and no NaN."""
  inexact = jax.numpy.issubdtype(array.dtype, jax.numpy.inexact)
  return not inexact or bool(np.isfinite(array).all())


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


def hashes(
  entries: Mapping[str, Any], copies: Mapping[str, np.ndarray]
) -> dict[str, str]:
  """The hash of every array, see the head of this file."""
  return {
    name: array_hash(entry, copies[name]) for name, entry in entries.items()
  }


def array_hash(entry: Mapping[str, Any], array: np.ndarray) -> str:
  head = f"{entry['dtype']} {list(entry['shape'])} {describe(array)}\n"
  result = hashlib.sha256(head.encode())
  result.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
  return result.hexdigest()


def manifest_hash(manifest: Mapping[str, Any]) -> str:
  return hashlib.sha256(
    json.dumps(manifest, sort_keys=True).encode()
  ).hexdigest()

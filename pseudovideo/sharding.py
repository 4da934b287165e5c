"""One mesh over all devices, and where arrays lie on it.

Data parallel: the batch is cut along its first axis, the state is replicated.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from pseudovideo import errors, keys

DATA_AXIS = "data"


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
  """A one-dimensional mesh over `devices`, by default all of them.

  The axis type is Auto: the compiler propagates shardings, which the default
  of `jax.make_mesh` (Explicit) would demand from every gather and reshape.
  """
  devices = list(devices if devices is not None else jax.devices())
  return jax.make_mesh(
    (len(devices),), (DATA_AXIS,), (AxisType.Auto,), devices=devices
  )


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def split_batch(mesh: Mesh) -> NamedSharding:
  """The first axis is cut over the devices."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def check_batch_size(name: str, batch_size: int, mesh: Mesh) -> None:
  """Refuses a batch that cannot be cut evenly.

  Raises:
    UserError: names the field, the size and the number of devices.
  """
  if batch_size < 1 or batch_size % mesh.size:
    raise errors.UserError(
      f"{name} must be a positive multiple of the number of devices, "
      f"{mesh.size}; got {batch_size}."
    )


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> Any:
  """This process's rows of a batch -> global arrays, cut over the devices."""
  sharding = split_batch(mesh)
  return {
    name: jax.make_array_from_process_local_data(sharding, np.asarray(rows))
    for name, rows in batch.items()
  }


def in_batches(
  function: Callable[..., Any],
  params: Any,
  extra: Any,
  examples: np.ndarray,
  *,
  key: jax.Array,
  batch_size: int,
) -> Iterator[tuple[slice, Any]]:
  """A function of every example, a batch at a time over all devices.

  Args:
    function: (params, extra, examples (B, ...), keys (B,)) -> a tree of
      (B, ...) arrays.
    params: the same for all.
    extra: the same for all.
    examples: (N, ...), in memory or memory-mapped; N >= 1.
    key: scalar; result i depends on example i and (key, i) only.
    batch_size: at most; batches are multiples of the number of devices.

  Yields:
    Which examples, and the tree of their results as numpy arrays.
  """
  mesh = make_mesh()
  whole, cut = replicated(mesh), split_batch(mesh)
  function = jax.jit(
    function, in_shardings=(whole, whole, cut, cut), out_shardings=cut
  )
  num = len(examples)
  size = -(-min(num, batch_size) // mesh.size) * mesh.size
  for start in range(0, num, size):
    batch = np.asarray(examples[np.arange(start, start + size) % num])
    rows = keys.example_keys(key, size, start)
    found = jax.device_get(function(params, extra, batch, rows))
    stop = min(num, start + size)
    yield (
      slice(start, stop),
      jax.tree.map(lambda x, wanted=stop - start: x[:wanted], found),
    )

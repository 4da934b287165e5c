"""One mesh over all devices of all processes, and where arrays lie on it.

Data parallel: the batch is cut along its first axis, the state is replicated.
Fully sharded (FSDP): the large arrays of the state are cut as well, each along
its longest axis, and the compiler gathers the weights where a layer needs them.
The two differ in `training.state.of_state` only.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from pseudovideo import errors

DATA_AXIS = "data"


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
  """A one-dimensional mesh over `devices`, by default all of them.

  Devices of one process are neighbours, so that each process holds one piece of
  every batch. The axis type is Auto: the compiler propagates shardings, which
  the default of `jax.make_mesh` (Explicit) would demand from every gather and
  reshape.
  """
  devices = list(devices if devices is not None else jax.devices())
  devices.sort(key=lambda device: device.process_index)
  return Mesh(np.array(devices), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding in which every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def split_batch(mesh: Mesh) -> NamedSharding:
  """The sharding that cuts the first axis over the devices."""
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


def put(tree: Any, shardings: Any) -> Any:
  """Makes global arrays of arrays that every process holds whole.

  Args:
    tree: numpy or jax arrays, typed random keys among them; the same in every
      process, which is not checked.
    shardings: one for all, or a tree like `tree`.
  """
  if isinstance(shardings, NamedSharding):
    shardings = jax.tree.map(lambda _: shardings, tree)
  return jax.tree.map(_put_array, tree, shardings)


def own_copy(tree: Any) -> Any:
  """Makes arrays of this process alone of arrays replicated over all."""

  def copy(array):
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
      data = copy(jax.random.key_data(array))
      return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    return jax.numpy.asarray(np.asarray(array))

  return jax.tree.map(copy, tree)


def _put_array(array: Any, sharding: NamedSharding) -> jax.Array:
  if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
    placed = _put_array(jax.random.key_data(array), sharding)
    return jax.random.wrap_key_data(placed, impl=jax.random.key_impl(array))
  if sharding.is_fully_addressable:
    return jax.device_put(array, sharding)
  # `jax.device_put` would compare the values of every process with all others.
  host = np.asarray(array)
  return jax.make_array_from_callback(
    host.shape, sharding, lambda index: host[index]
  )


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> Any:
  """Makes global arrays, cut over the devices, of this process's rows."""
  sharding = split_batch(mesh)
  return {
    name: jax.make_array_from_process_local_data(sharding, np.asarray(rows))
    for name, rows in batch.items()
  }

"""One mesh over all devices, and where arrays lie on it.

Data parallel: the batch is cut along its first axis, the state is replicated.
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

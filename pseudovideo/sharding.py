"""One mesh over all devices of all processes, and where arrays lie on it.

Data parallel: the batch is cut along its first axis, the state is replicated.
Fully sharded (FSDP): the large arrays of the state are cut as well, each along
its longest axis, and the compiler gathers the weights where a layer needs them.
The two differ in `of_state` only.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from pseudovideo import errors, keys
from pseudovideo import state as train_state

DATA_AXIS = "data"
# Arrays with fewer numbers than this are not worth gathering at every layer.
SMALLEST_CUT = 4096


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


def of_state(
  state: train_state.TrainState, mesh: Mesh, *, fsdp: bool
) -> train_state.TrainState:
  """Where the arrays of a training state lie: a tree of shardings.

  Args:
    state: arrays, or their shapes.
    mesh: see `make_mesh`.
    fsdp: whether the parameters, their average and the optimizer's moments are
      cut. The task's own state is replicated in any case.
  """

  def place(part):
    return jax.tree.map(
      lambda x: NamedSharding(mesh, _longest_axis(x.shape, mesh)), part
    )

  whole = jax.tree.map(lambda _: replicated(mesh), state)
  if not fsdp:
    return whole
  return dataclasses.replace(
    whole,
    params=place(state.params),
    ema=place(state.ema),
    opt_state=place(state.opt_state),
  )


def _longest_axis(shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
  """Cuts the longest axis that the devices divide, the last of equal ones."""
  lengths = [length if length % mesh.size == 0 else 0 for length in shape]
  if math.prod(shape) < SMALLEST_CUT or not any(lengths):
    return PartitionSpec()
  axis = len(shape) - 1 - int(np.argmax(lengths[::-1]))
  return PartitionSpec(*[None] * axis, DATA_AXIS)


def put(tree: Any, shardings: Any) -> Any:
  """Arrays that every process holds whole -> global arrays.

  Args:
    tree: numpy or jax arrays, typed random keys among them; the same in every
      process, which is not checked.
    shardings: one for all, or a tree like `tree`.
  """
  if isinstance(shardings, NamedSharding):
    shardings = jax.tree.map(lambda _: shardings, tree)
  return jax.tree.map(_put_array, tree, shardings)


def own_copy(tree: Any) -> Any:
  """Arrays that are replicated over all processes -> of this process alone."""

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
  # Of `jax.device_put` every process would compare the values with all others.
  host = np.asarray(array)
  return jax.make_array_from_callback(
    host.shape, sharding, lambda index: host[index]
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
    Which examples, and the tree of their results as numpy arrays. Each process
    computes all of them, on its own devices.
  """
  mesh = make_mesh(jax.local_devices())
  whole, cut = replicated(mesh), split_batch(mesh)
  function = jax.jit(
    function, in_shardings=(whole, whole, cut, cut), out_shardings=cut
  )
  num = len(examples)
  size = -(-min(num, batch_size) // mesh.size) * mesh.size
  for start in range(0, num, size):
    batch = np.asarray(examples[np.arange(start, start + size) % num])
    rows = keys.example_keys(key, size, start)
    batch, rows = put((batch, rows), cut)
    found = jax.device_get(function(params, extra, batch, rows))
    stop = min(num, start + size)
    yield (
      slice(start, stop),
      jax.tree.map(lambda x, wanted=stop - start: x[:wanted], found),
    )

"""The state that training carries from step to step."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from pseudovideo.devices import sharding


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TrainState:
  """Everything that a checkpoint holds.

  Attributes:
    step: () int32, number of updates done.
    params: parameters that are optimised.
    ema: exponential moving average of `params`; sampling uses it.
    opt_state: state of the optimizer.
    extra: the task's own state: saved, not optimised.
  """

  step: jax.Array
  params: Any
  ema: Any
  opt_state: Any
  extra: Any


def create(
  params: Any, extra: Any, tx: optax.GradientTransformation
) -> TrainState:
  """The state before the first update; the average starts as a copy."""
  params, extra = jax.tree.map(_of_fixed_type, (params, extra))
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema=jax.device_put(params, may_alias=False),
    opt_state=jax.jit(tx.init)(params),
    extra=extra,
  )


def _of_fixed_type(array: Any) -> Any:
  """The array as an update returns it, so that updates are compiled once.

  JAX lets the type of `jnp.full(shape, 0.1)` give way to others.
  """
  if getattr(array, "weak_type", False):
    return jax.lax.convert_element_type(array, array.dtype)
  return array


def to_dict(state: TrainState) -> dict[str, Any]:
  """The parts as a plain dict, the form that is checkpointed."""
  return {
    f.name: getattr(state, f.name) for f in dataclasses.fields(TrainState)
  }


# Arrays with fewer numbers than this are not worth gathering at every layer.
SMALLEST_CUT = 4096


def of_state(state: TrainState, mesh: Mesh, *, fsdp: bool) -> TrainState:
  """Shardings of a training state: a tree like it.

  Args:
    state: arrays, or their shapes.
    mesh: see `sharding.make_mesh`.
    fsdp: whether the parameters, their average and the optimizer's moments are
      sharded. The task's own state is replicated in any case.
  """

  def place(part):
    return jax.tree.map(
      lambda x: NamedSharding(mesh, _longest_axis(x.shape, mesh)), part
    )

  whole = jax.tree.map(lambda _: sharding.replicated(mesh), state)
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
  return PartitionSpec(*[None] * axis, sharding.DATA_AXIS)

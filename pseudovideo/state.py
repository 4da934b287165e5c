"""What a training run carries from step to step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TrainState:
  """Everything that a checkpoint holds.

  Attributes:
    step: () int32, number of updates done.
    params: being optimised.
    ema: exponential moving average of `params`; sampling uses it.
    opt_state: of the optimizer.
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
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema=jax.tree.map(jnp.copy, params),
    opt_state=tx.init(params),
    extra=extra,
  )


def to_dict(state: TrainState) -> dict[str, Any]:
  """Plain dict of the parts, the form that is checkpointed."""
  return {
    f.name: getattr(state, f.name) for f in dataclasses.fields(TrainState)
  }


def count_parameters(params: Any) -> int:
  """Number of floats in a tree."""
  return sum(x.size for x in jax.tree.leaves(params))

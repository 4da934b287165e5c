"""The training of a config as shapes: nothing is read and nothing allocated.

Weights and images from elsewhere are replaced by their shapes, a first stage by
an untrained one. Statistics of the training images, which the heat HVAE keeps,
are left out; no update reads them, and they are 2 MB for binarized MNIST.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.sharding import AbstractMesh, AxisType, Mesh

from pseudovideo import errors, optimizers
from pseudovideo.config import parsing
from pseudovideo.data import named
from pseudovideo.devices import sharding
from pseudovideo.tasks import base, first_stage, heat_hvae, token_prior
from pseudovideo.training import state, steps
from pseudovideo.training import state as state_


class Training(NamedTuple):
  """A task, its update, and the shapes of the state that this changes.

  `batch_size` counts the images of an update, or of one accumulated part.
  """

  task: base.Task
  step: steps.Step
  state: state.TrainState
  batch_size: int


def training(
  config: Mapping[str, Any] | parsing.Config,
  coder: Mapping[str, Any] | None = None,
) -> Training:
  """The training of a config, as shapes.

  Args:
    config: a ConfigDict, its JSON form, or a parsed config.
    coder: config of its first stage, where it needs one.

  Raises:
    UserError: a mistake in the config, a set whose images may have any size, or
      a first stage that is not given.
  """
  config = parsing.parse(config)
  kind = first_stage.kind_of(config.task_fields)
  if kind is not None and coder is not None:
    run = parsing.parse(coder).raw
    config = config.replaced(kind.section, config=run, hash="0" * 64)
  if config.task_fields.get("scan") == "auto":
    # The meaning of `auto` on an accelerator.
    config = config.replaced("task", scan="remat")
  known = errors.look_up("data set", config.data.name, named.FACTS)
  task = config.make_task(known.image_shape)
  tx = optimizers.for_players(
    config.optimizer, config.train.steps, base.discriminator_optimizer(task)
  )
  step = steps.make_step(
    task,
    tx,
    ema_decay=config.optimizer.ema_decay,
    ema_warmup=config.optimizer.ema_warmup,
  )
  fresh = jax.eval_shape(
    lambda key: state.create(*_initial(task, kind, key), tx), key_shape()
  )
  size = config.train.batch_size // config.train.accumulate
  return Training(task, step, fresh, size)


def _initial(task, kind, key):
  """Calls `task.init` without weights and images from elsewhere."""
  if isinstance(task, heat_hvae.HeatHVAE):
    image = jnp.zeros((1, *task.image_shape))
    return task.model.init(key, image, jnp.zeros((1,)))["params"], {}
  if kind is None:
    return task.init(key, None)
  given = {kind.section: kind.frozen(*task.coder.init(key, None))}
  if kind is first_stage.AUTOENCODER:
    given["scaling"] = {"scale": 1.0, "shift": 0.0}
  return task.init(key, None, **given)


def key_shape() -> jax.ShapeDtypeStruct:
  """The shape and type of a scalar key."""
  return jax.eval_shape(lambda: jax.random.key(0))


def batch(task: base.Task, num: int) -> dict[str, jax.ShapeDtypeStruct]:
  """A training batch of `num` examples."""
  name, shape, dtype = base.IMAGE, task.image_shape, jnp.uint8
  if isinstance(task, token_prior.TokenPrior):
    name, shape, dtype = token_prior.IDS, task.coder.grid_shape, jnp.int32
  return {
    name: jax.ShapeDtypeStruct((num, *shape), dtype),
    "index": jax.ShapeDtypeStruct((num,), jnp.int32),
  }


def mesh_of(devices: int) -> AbstractMesh:
  """A mesh as of `sharding.make_mesh`, of devices that need not be there."""
  return AbstractMesh(
    (devices,), (sharding.DATA_AXIS,), axis_types=(AxisType.Auto,)
  )


def state_bytes(
  fresh: state.TrainState, mesh: Mesh | AbstractMesh, *, fsdp: bool
) -> dict[str, int]:
  """Bytes on each device: of every part of a state, and of the gradients.

  The gradients lie where the parameters do.
  """
  places = state_.of_state(fresh, mesh, fsdp=fsdp)

  def on_one(name):
    sizes = jax.tree.map(
      lambda x, place: np.prod(place.shard_shape(x.shape)) * x.dtype.itemsize,
      getattr(fresh, name),
      getattr(places, name),
    )
    return int(sum(jax.tree.leaves(sizes)))

  found = {
    field.name: on_one(field.name) for field in dataclasses.fields(fresh)
  }
  return found | {"gradients": found["params"]}


class Kept(NamedTuple):
  """Bytes that a loss leaves for its gradient.

  Attributes:
    constant: bytes for a batch of none.
    per_example: bytes for each example more.
  """

  constant: int
  per_example: int

  def of(self, num: int) -> int:
    """Bytes for a batch of `num`."""
    return self.constant + num * self.per_example


def kept(run: Training) -> Kept:
  """Counts the arrays that a loss keeps until its gradient is computed.

  They are what the second half of `jax.vjp` closes over, parameters and batch
  left out, and as much for the largest of the parts that are computed again,
  since that is done for one at a time. The compiler may keep fewer, when it
  computes cheap ones again, and needs room for the work itself.

  All arrays that depend on the batch have as many rows as it has examples, so
  that two batches tell about all.
  """
  few, many = (_kept_bytes(run, num) for num in (2, 4))
  return Kept(2 * few - many, (many - few) // 2)


def _kept_bytes(run, num):
  now = run.state

  def loss(params, extra, examples, key, step):
    rows = jax.random.split(key, num)
    terms, _ = run.task.loss(
      params, extra, examples, key=rows, step=step, train=True
    )
    return steps.reduce_terms(terms)[0]

  forward = jax.make_jaxpr(loss)(
    now.params, now.extra, batch(run.task, num), key_shape(), now.step
  )
  weights = len(jax.tree.leaves(now.params))
  avals = [v.aval for v in forward.jaxpr.invars]
  outside = _closed_over(forward, avals, range(weights))
  parts = [
    _closed_over(
      core.ClosedJaxpr(part, ()),
      [v.aval for v in part.invars],
      [
        i
        for i, v in enumerate(part.invars)
        if jnp.issubdtype(v.aval.dtype, jnp.floating)
      ],
    )
    for part in _computed_again(forward.jaxpr)
  ]
  return outside + max(parts, default=0)


def _closed_over(program, avals, wanted):
  """Bytes that the gradient of a program keeps, its own arguments left out.

  Args:
    program: a ClosedJaxpr.
    avals: abstract values of its arguments.
    wanted: places of the arguments that the gradient is with respect to.
  """
  run = core.jaxpr_as_fun(program)

  def backward(*arguments):
    def function(*chosen):
      full = list(arguments)
      for place, value in zip(wanted, chosen, strict=True):
        full[place] = value
      return run(*full)

    return jax.vjp(function, *(arguments[i] for i in wanted))[1]

  shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals]
  jaxpr = jax.make_jaxpr(backward)(*shapes).jaxpr
  left = {v for v in jaxpr.outvars if isinstance(v, core.Var)}
  left -= {*jaxpr.invars, *jaxpr.constvars}
  return sum(v.aval.size * v.aval.dtype.itemsize for v in left)


def _computed_again(jaxpr):
  """The parts under `jax.checkpoint`, those inside others left out."""
  found = {}
  for equation in jaxpr.eqns:
    for inner in jax.tree.leaves(
      list(equation.params.values()),
      is_leaf=lambda x: isinstance(x, core.Jaxpr | core.ClosedJaxpr),
    ):
      if isinstance(inner, core.ClosedJaxpr):
        inner = inner.jaxpr
      if not isinstance(inner, core.Jaxpr):
        continue
      if equation.primitive.name in ("checkpoint", "remat2"):
        # Equal blocks are looked at once.
        found[_signature(inner)] = inner
      else:
        found |= {_signature(x): x for x in _computed_again(inner)}
  return list(found.values())


def _signature(jaxpr):
  """A signature that two blocks of equal sizes share."""
  return tuple(str(v.aval) for v in jaxpr.invars), len(jaxpr.eqns)

"""The training of a config as shapes: nothing is read and nothing allocated.

What a run takes from elsewhere is replaced by its shapes, a first stage by an
untrained one. What the heat HVAE keeps of the training images is left out; no
update reads it, and it is 2 MB for binarized MNIST.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.sharding import AbstractMesh, AxisType, Mesh

from pseudovideo import (
  configuration,
  errors,
  optimizers,
  sharding,
  state,
  steps,
)
from pseudovideo.data import pipeline
from pseudovideo.tasks import base, first_stage, heat_hvae, token_prior

IMAGE_SHAPES = {
  "digits": (8, 8, 1),
  "mnist": (28, 28, 1),
  "cifar10": (32, 32, 3),
  "celeb_a": (64, 64, 3),
}


class Training(NamedTuple):
  """A task, its update, and the shapes of the state that this changes.

  `batch_size` is of an update, or of one of its accumulated parts.
  """

  task: base.Task
  step: steps.Step
  state: state.TrainState
  batch_size: int


def training(
  raw: Mapping[str, Any], coder: Mapping[str, Any] | None = None
) -> Training:
  """Of a config.

  Args:
    raw: ConfigDict or its JSON form.
    coder: the config of its first stage, where it needs one.

  Raises:
    UserError: a mistake in the config, a set whose images may have any size, or
      a first stage that is not given.
  """
  raw = configuration.plain(raw)
  kind = first_stage.kind_of(raw)
  if kind is not None and coder is not None:
    run = configuration.to_json(configuration.complete(coder))
    raw[kind.section] |= {"config": run, "hash": "0" * 64}
  if raw["task"].get("scan") == "auto":
    # What `auto` is on an accelerator.
    raw["task"]["scan"] = "remat"
  config = configuration.parse(raw)
  shape = errors.look_up("data set", config.data.name, IMAGE_SHAPES)
  task = config.make_task(shape)
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
  """What `task.init` returns, without weights and images from elsewhere."""
  if isinstance(task, heat_hvae.HeatHVAE):
    image = jnp.zeros((1, *task.image_shape))
    return task.model.init(key, image, jnp.zeros((1,)))["params"], {}
  if kind is None:
    return task.init(key, None)
  parts = dict(
    zip(("params", "extra"), task.coder.init(key, None), strict=True)
  )
  kept = {
    part: {n: parts[part][n] for n in getattr(kind, part) if n in parts[part]}
    for part in parts
  }
  if isinstance(task, token_prior.TokenPrior):
    return task.init_params(key), {kind.section: kept}
  params, extra = task.denoiser.init(key, None)
  scaling = {"scale": jnp.float32(1), "shift": jnp.float32(0)}
  return params, extra | {kind.section: kept, "scaling": scaling}


def key_shape() -> jax.ShapeDtypeStruct:
  """Of a scalar key."""
  return jax.eval_shape(lambda: jax.random.key(0))


def batch(task: base.Task, num: int) -> dict[str, jax.ShapeDtypeStruct]:
  """A training batch of `num` examples."""
  name, shape, dtype = pipeline.IMAGE, task.image_shape, jnp.uint8
  if isinstance(task, token_prior.TokenPrior):
    name, shape, dtype = token_prior.IDS, task.coder.grid_shape, jnp.int32
  return {
    name: jax.ShapeDtypeStruct((num, *shape), dtype),
    "index": jax.ShapeDtypeStruct((num,), jnp.int32),
  }


def mesh_of(devices: int) -> AbstractMesh:
  """As `sharding.make_mesh` makes it, of devices that need not be there."""
  return AbstractMesh(
    (devices,), (sharding.DATA_AXIS,), axis_types=(AxisType.Auto,)
  )


def state_bytes(
  fresh: state.TrainState, mesh: Mesh | AbstractMesh, *, fsdp: bool
) -> dict[str, int]:
  """Bytes on each device: of every part of a state, and of the gradients.

  The gradients lie where the parameters do.
  """
  places = sharding.of_state(fresh, mesh, fsdp=fsdp)

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
    constant: for a batch of none.
    per_example: for each example more.
  """

  constant: int
  per_example: int

  def of(self, num: int) -> int:
    """For a batch of `num`."""
    return self.constant + num * self.per_example


def kept(run: Training) -> Kept:
  """Of the arrays that the loss of a batch keeps until its gradient comes.

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
    avals: of its arguments.
    wanted: places of those that the gradient is with respect to.
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
  """The same for two blocks of the same sizes."""
  return tuple(str(v.aval) for v in jaxpr.invars), len(jaxpr.eqns)

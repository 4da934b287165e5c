"""The compiled functions of a run: its update, held-out losses and samples."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import optax

from pseudovideo import compiling
from pseudovideo.config import parsing
from pseudovideo.devices import sharding
from pseudovideo.evaluation import sampling
from pseudovideo.tasks import base
from pseudovideo.training import state, steps

FEW = 20
"""Updates that take less time than the compilation of a faster one."""


@dataclasses.dataclass(frozen=True)
class Programs:
  """Jitted functions, the batch cut over the devices.

  Attributes:
    update: (state, batch, key) -> (state, metrics), the state donated; see
      `steps.make_step`.
    evaluate: (params, extra, batch, keys) -> term sums; see
      `steps.make_eval_step`.
    sample: (params, extra, keys, images of an autoencoder) -> videos; see
      `sampling.make_sampler`.
  """

  update: Callable[..., Any]
  evaluate: Callable[..., Any]
  sample: sampling.Sampler


def build(
  task: base.Task,
  config: parsing.Config,
  tx: optax.GradientTransformation,
  places: state.TrainState,
  mesh: jax.sharding.Mesh,
) -> Programs:
  """Builds the programs of a task; of a run of `FEW` updates they compile soon.

  Args:
    task: the task that is trained.
    config: the config of the run.
    tx: the optimizer.
    places: where the arrays of the state lie, see `state.of_state`.
    mesh: the devices.
  """
  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  few = config.train.steps <= FEW
  options = compiling.compiled_soon() if few else None
  update = steps.make_step(
    task,
    tx,
    ema_decay=config.optimizer.ema_decay,
    ema_warmup=config.optimizer.ema_warmup,
    accumulate=config.train.accumulate,
    skip_bad=config.train.skip_bad_steps > 0,
  )
  return Programs(
    update=jax.jit(
      update,
      in_shardings=(places, cut, whole),
      out_shardings=(places, whole),
      donate_argnums=0,
      compiler_options=options,
    ),
    evaluate=jax.jit(
      steps.make_eval_step(task),
      in_shardings=(places.ema, whole, cut, cut),
      out_shardings=whole,
      compiler_options=options,
    ),
    sample=sampling.make_sampler(
      task, mesh, weights=places.ema, compiler_options=options
    ),
  )

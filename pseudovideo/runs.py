"""A run that was trained: its task and weights, back from a checkpoint."""

import dataclasses
import os
import pathlib
from typing import Any

import jax

from pseudovideo import checkpoints, configuration, data


@dataclasses.dataclass(frozen=True)
class Run:
  """What sampling and evaluation need.

  Attributes:
    workdir: folder of the run.
    raw: the config as it was saved, JSON form.
    config: the same, checked.
    image_set: the data set.
    task: the system.
    params: the averaged weights (EMA).
    extra: the task's own state.
    step: updates done.
  """

  workdir: pathlib.Path
  raw: dict[str, Any]
  config: configuration.Config
  image_set: data.ImageSet
  task: Any
  params: Any
  extra: Any
  step: int


def saved_config(workdir: str | os.PathLike) -> dict[str, Any]:
  """The config of the newest good checkpoint.

  Raises:
    UserError: there is no checkpoint.
  """
  _, _, raw = checkpoints.load(workdir, parts=())
  return raw


def restore(
  workdir: str | os.PathLike,
  *,
  step: int | None = None,
  data_dir: str | None = None,
) -> Run:
  """Restores the averaged weights; the config comes with them.

  Args:
    workdir: folder of the run.
    step: which checkpoint; None takes the newest good one.
    data_dir: where TFDS sets are.

  Raises:
    UserError: there is no checkpoint, or the data set is missing.
  """
  workdir = pathlib.Path(workdir)
  step, parts, raw = checkpoints.load(
    workdir, step=step, parts=("ema", "extra")
  )
  config = configuration.parse(raw)
  image_set = data.load(config.data.name, data_dir=data_dir)
  task = config.make_task(image_set.image_shape)
  parts = jax.tree.map(jax.numpy.asarray, parts)
  return Run(
    workdir=workdir,
    raw=raw,
    config=config,
    image_set=image_set,
    task=task,
    params=parts["ema"],
    extra=parts["extra"],
    step=step,
  )

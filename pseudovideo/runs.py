"""A run that was trained: its task and weights, back from a checkpoint."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from pseudovideo import checkpoints, configuration, data, errors


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

  Fields that are newer than it have their default, which is what was done
  before there was a choice.

  Raises:
    UserError: there is no checkpoint.
  """
  _, _, raw = checkpoints.load(workdir, parts=())
  return configuration.to_json(configuration.complete(raw))


def refuse_changes(
  workdir: str | os.PathLike,
  saved: Mapping[str, Any],
  given: Mapping[str, Any],
) -> None:
  """Refuses a config that is not, in what matters, the checkpoint's.

  Raises:
    UserError: names the fields with both values.
  """
  changed = configuration.differences(saved, given)
  if changed:
    raise errors.UserError(
      f"{workdir} holds a run with another config: {'; '.join(changed)}. Use "
      "another --workdir, or give the same config."
    )


def restore(
  workdir: str | os.PathLike,
  *,
  step: int | None = None,
  data_dir: str | None = None,
  config: Mapping[str, Any] | None = None,
) -> Run:
  """Restores the averaged weights; the config comes with them.

  Args:
    workdir: folder of the run.
    step: which checkpoint; None takes the newest good one.
    data_dir: where TFDS sets are.
    config: not needed; if given, its sections `evaluate` and `sampler` count,
      and the rest may not make another model.

  Raises:
    UserError: there is no checkpoint, the data set is missing, or the config
      is another one.
  """
  workdir = pathlib.Path(workdir)
  step, parts, raw = checkpoints.load(
    workdir, step=step, parts=("ema", "extra")
  )
  if config is not None:
    refuse_changes(workdir, raw, config)
    config = configuration.to_json(config)
    for section in set(configuration.AFTER_TRAINING) & set(config):
      raw[section] = config[section]
  parsed = configuration.parse(raw)
  image_set = data.load(parsed.data.name, data_dir=data_dir)
  task = parsed.make_task(image_set.image_shape)
  parts = jax.tree.map(jax.numpy.asarray, parts)
  return Run(
    workdir=workdir,
    raw=raw,
    config=parsed,
    image_set=image_set,
    task=task,
    params=parts["ema"],
    extra=parts["extra"],
    step=step,
  )

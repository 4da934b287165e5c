"""Restores the task and the weights of a trained run from a checkpoint."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from pseudovideo import data, errors
from pseudovideo.config import comparing, parsing
from pseudovideo.runs import checkpoints


@dataclasses.dataclass(frozen=True)
class Run:
  """A trained run: all that sampling and evaluation need.

  Attributes:
    workdir: folder of the run.
    config: the config as it was saved, with today's names and defaults.
    image_set: the data set.
    task: the system.
    params: the averaged weights (EMA).
    extra: the task's own state.
    step: updates done.
  """

  workdir: pathlib.Path
  config: parsing.Config
  image_set: data.ImageSet
  task: Any
  params: Any
  extra: Any
  step: int


def saved_config(workdir: str | os.PathLike) -> parsing.Config:
  """Reads the config of the newest good checkpoint.

  Fields that are newer than the checkpoint have their defaults, which stand for
  what was done before there was a choice.

  Raises:
    UserError: there is no checkpoint.
  """
  _, _, raw = checkpoints.load(pathlib.Path(workdir), parts=())
  return parsing.parse(raw)


def refuse_changes(
  workdir: str | os.PathLike,
  saved: parsing.Config,
  given: parsing.Config,
) -> None:
  """Refuses a config that differs from the checkpoint's in what matters.

  Raises:
    UserError: names the fields with both values.
  """
  changed = comparing.differences(saved.raw, given.raw)
  if changed:
    raise errors.UserError(
      f"{workdir} holds a run with another config: {'; '.join(changed)}. Use "
      "another --workdir, or give the same config."
    )


def restore(
  workdir: str | os.PathLike,
  *,
  step: int | None = None,
  data_dir: str | os.PathLike | None = None,
  config: Mapping[str, Any] | parsing.Config | None = None,
) -> Run:
  """Restores the averaged weights; the config comes with them.

  Args:
    workdir: folder of the run.
    step: step of the checkpoint; None takes the newest good one.
    data_dir: folder of TFDS sets.
    config: config whose sections `evaluate` and `sampler` replace the
      checkpoint's, and whose other sections must make the checkpoint's model;
      None keeps all.

  Raises:
    UserError: there is no checkpoint, the data set is missing, or the config
      is another one.
  """
  workdir = pathlib.Path(workdir)
  step, parts, raw = checkpoints.load(
    workdir, step=step, parts=("ema", "extra")
  )
  saved = parsing.parse(raw)
  if config is not None:
    saved = _sampled_as(saved, parsing.parse(config), workdir)
  image_set = data.load(saved.data.name, data_dir=data_dir)
  task = saved.make_task(image_set.image_shape)
  parts = jax.tree.map(jax.numpy.asarray, parts)
  return Run(
    workdir=workdir,
    config=saved,
    image_set=image_set,
    task=task,
    params=parts["ema"],
    extra=parts["extra"],
    step=step,
  )


def _sampled_as(
  saved: parsing.Config, given: parsing.Config, workdir: pathlib.Path
) -> parsing.Config:
  """The saved config with the sections of `given` that alter no weights."""
  refuse_changes(workdir, saved, given)
  sections = set(comparing.AFTER_TRAINING) & set(given.raw)
  return parsing.parse(saved.raw | {s: given.raw[s] for s in sections})

"""Restores the task and the weights of a trained run from a checkpoint."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

from pseudovideo import data, errors
from pseudovideo.config import comparing, parsing, renamed
from pseudovideo.runs import checkpoints, trained_on


@dataclasses.dataclass(frozen=True)
class Run:
  """A trained run: all that sampling and evaluation need.

  Attributes:
    workdir: folder of the run.
    config: the config as it was saved, with today's names and defaults.
    task: the system.
    params: the averaged weights (EMA).
    extra: the task's own state.
    step: updates done.
    record: the data that it was trained on, see `trained_on`; None for a
      checkpoint of an earlier version.
    load_images: loads the data set as it is now.
  """

  workdir: pathlib.Path
  config: parsing.Config
  task: Any
  params: Any
  extra: Any
  step: int
  record: trained_on.Record | None
  load_images: Callable[[], data.ImageSet]

  @property
  def image_set(self) -> data.ImageSet:
    """The data set as it is now, loaded when it is first asked for.

    Raises:
      UserError: it is missing.
    """
    return self.load_images()

  def on(self, image_set: data.ImageSet) -> "Run":
    """The run with another data set."""
    return dataclasses.replace(self, load_images=lambda: image_set)


def saved_config(workdir: str | os.PathLike) -> parsing.Config:
  """Reads the config of the newest good checkpoint.

  Fields that are newer than the checkpoint have their defaults, which stand for
  what was done before there was a choice.

  Raises:
    UserError: there is no checkpoint.
  """
  return parsing.parse(checkpoints.facts(workdir).config)


def refuse_changes(
  workdir: str | os.PathLike,
  stored: Mapping[str, Any],
  given: parsing.Config,
  *,
  record: trained_on.Record | None = None,
) -> None:
  """Refuses a config that differs from the checkpoint's in what matters.

  Args:
    workdir: folder of the run.
    stored: its config as it is in the checkpoint.
    given: the config that it should go on with.
    record: what the run was trained on. If it is known, the data may have
      moved to another folder; whether they are the same is for the caller to
      see.

  Raises:
    UserError: names the fields with both values, and which of them are newer
      than the checkpoint.
  """
  saved = parsing.parse(stored)
  moved = record is not None and _are_folders(saved, given)
  changed = comparing.changes(
    saved.raw, given.raw, free=["data.name"] if moved else []
  )
  if not changed:
    return
  known = comparing.flatten(renamed.translated(comparing.plain(stored)))
  newer = [name for name in changed if name not in known]
  advice = (
    "Leave --config out to go on with its own config, or use another --workdir."
  )
  if newer:
    advice = (
      f"The run is older than {', '.join(newer)}, and did as with the old "
      f"value{'s' if newer[1:] else ''}. {advice}"
    )
  if "train.steps" in changed:
    advice = (
      "A cosine schedule ends at its last step: train longer in another "
      f"--workdir, with --config.train.start_from={workdir}. {advice}"
    )
  raise errors.UserError(
    f"{workdir} holds a run with another config: "
    f"{'; '.join(changed.values())}. {advice}"
  )


def _are_folders(one: parsing.Config, other: parsing.Config) -> bool:
  names = [config.data.name.partition(":") for config in (one, other)]
  (kind, *_, path), (other_kind, *_, other_path) = names
  return bool(kind == other_kind and path and other_path)


def restore(
  workdir: str | os.PathLike,
  *,
  step: int | None = None,
  data_dir: str | os.PathLike | None = None,
  config: Mapping[str, Any] | parsing.Config | None = None,
) -> Run:
  """Restores the averaged weights; the config comes with them.

  The data set is loaded when it is first asked for, so that samplers that need
  no data work without.

  Args:
    workdir: folder of the run.
    step: step of the checkpoint; None takes the newest good one.
    data_dir: folder of TFDS sets.
    config: config whose sections `evaluate` and `sampler` replace the
      checkpoint's, and whose other sections must make the checkpoint's model;
      None keeps all.

  Raises:
    UserError: there is no checkpoint, the config is another one, or it names
      another folder with other images.
  """
  workdir = pathlib.Path(workdir)
  found, parts = checkpoints.load_with_facts(workdir, step=step)
  record = found.data
  saved = merged = parsing.parse(found.config)
  if config is not None:
    merged = _sampled_as(found.config, parsing.parse(config), workdir, record)
  load_images = functools.cache(
    functools.partial(trained_on.load, merged, record, data_dir)
  )
  if merged.data.name != saved.data.name:
    trained_on.refuse_others(
      workdir, record, load_images(), accept=merged.data.accept_changed
    )
  shape = record["image_shape"] if record else load_images().image_shape
  task = merged.make_task(tuple(shape))
  parts = jax.tree.map(jax.numpy.asarray, parts)
  return Run(
    workdir=workdir,
    config=merged,
    task=task,
    params=parts["ema"],
    extra=parts["extra"],
    step=found.step,
    record=record,
    load_images=load_images,
  )


def _sampled_as(
  stored: Mapping[str, Any],
  given: parsing.Config,
  workdir: pathlib.Path,
  record: trained_on.Record | None,
) -> parsing.Config:
  """The saved config with the parts of `given` that alter no weights."""
  refuse_changes(workdir, stored, given, record=record)
  saved = parsing.parse(stored)
  sections = set(comparing.AFTER_TRAINING) & set(given.raw)
  place = {name: given.raw["data"][name] for name in ("name", "accept_changed")}
  return parsing.parse(
    saved.raw
    | {s: given.raw[s] for s in sections}
    | {"data": saved.raw["data"] | place}
  )

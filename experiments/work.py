"""One run of a row: what is done of it, and doing the rest."""

import copy
import dataclasses
import math
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from experiments.rows import Job
from pseudovideo import (
  checkpoints,
  configuration,
  errors,
  evaluate,
  results,
  runs,
  sample_files,
  train,
  writer,
)
from pseudovideo.checkpoints import restoring
from pseudovideo.tasks import first_stage

LOCK_FILE = "lock"
# How many samples are drawn at a time changes none of them.
_FREE = ("evaluate.batch_size",)


class Stopped(Exception):
  """Training was stopped by a signal."""

  def __init__(self, outcome: train.Outcome):
    super().__init__(outcome)
    self.outcome = outcome


def refuse_stopped(outcome: train.Outcome) -> train.Outcome:
  """The outcome of a training that no signal stopped.

  Raises:
    Stopped: one did.
  """
  if outcome.stopped_by is not None:
    raise Stopped(outcome)
  return outcome


def deviations(
  record: Mapping[str, Any], config: Mapping[str, Any], step: int
) -> list[str]:
  """In what a record of results differs from what a config asks for.

  Args:
    record: of results.json. Fields that its config lacks are newer than it, and
      count as their default, which is what was done before there was a choice.
    config: complete.
    step: updates that the model should have had.

  Returns:
    Sentences such as "sampler.respacing is '150', was '50'"; none if the
    record is what the config would give.
  """
  completed = configuration.complete(record["config"])
  saved = configuration.flatten(configuration.to_json(completed))
  given = configuration.flatten(configuration.to_json(config))
  found = configuration.differences(completed, config)
  found += [
    f"{name} is {given.get(name)!r}, was {saved.get(name)!r}"
    for name in sorted(saved.keys() | given.keys())
    if name.partition(".")[0] in configuration.AFTER_TRAINING
    and name not in _FREE
    and saved.get(name) != given.get(name)
  ]
  if record["step"] != step:
    found.append(f"the step is {step:,}, was {record['step']:,}")
  return found


def finished(
  workdir: pathlib.Path, config: Mapping[str, Any], step: int
) -> dict[str, Any] | None:
  """The results in a folder, if they are this config's own and complete."""
  path = workdir / evaluate.RESULTS_FILE
  if not path.exists() or not (workdir / sample_files.NAME).exists():
    return None
  record = results.read(path)
  if record.get("samples_file") or deviations(record, config, step):
    return None
  return record


def results_of(job: Job, root: str | pathlib.Path) -> dict[str, Any] | None:
  """The results of a run, None while it is unfinished."""
  steps = job.config["train"]["steps"]
  record = finished(job.workdir(root), job.config, steps)
  if record is None or _other_first_stage(job, record["config"]):
    return None
  return record


def _other_first_stage(job: Job, saved: Mapping[str, Any]) -> list[str]:
  """In what the first stage of a saved config differs from the one wanted."""
  if job.first_stage is None:
    return []
  section = first_stage.kind_of(saved).section
  found = configuration.complete(saved[section]["config"])
  changed = configuration.differences(found, job.first_stage.config)
  return [f"its {section}'s {change}" for change in changed]


def changes(job: Job, record: Mapping[str, Any]) -> list[str]:
  """In what its results differ from what it asks for now, as sentences."""
  config = job.config
  found = deviations(record, config, config["train"]["steps"])
  return found + _other_first_stage(job, record["config"])


def check(job: Job, root: str | pathlib.Path) -> None:
  """Refuses a folder with a run that this one cannot go on from.

  Raises:
    UserError: it was made with another config, or is longer.
  """
  workdir, steps = job.workdir(root), job.config["train"]["steps"]
  newest = newest_step(workdir)
  if newest is None:
    return
  saved = runs.saved_config(workdir)
  changed = configuration.differences(saved, job.config)
  changed += _other_first_stage(job, saved)
  if newest > steps:
    changed.append(f"train.steps is {steps}, and {newest} are done")
  if changed:
    raise errors.UserError(
      f"{workdir} holds a run with another config: {'; '.join(changed)}. Move "
      "it away, or give another --root."
    )


def newest_step(workdir: pathlib.Path) -> int | None:
  """Step of the newest checkpoint, None if there is none."""
  return max(restoring.steps_in(workdir / checkpoints.FOLDER), default=None)


def describe(job: Job, root: str | pathlib.Path) -> str:
  """State of a run in words, such as "step 20 of 100"."""
  if results_of(job, root) is not None:
    return "done"
  if job.source is not None:
    return f"missing; samples {job.source.name}"
  step, steps = newest_step(job.workdir(root)), job.config["train"]["steps"]
  if step is None:
    return f"missing; needs {job.needs.name}" if job.needs else "missing"
  if step == steps:
    return "not scored"
  return f"step {step:,} of {steps:,}{_time_left(job.workdir(root), steps)}"


def _time_left(workdir: pathlib.Path, steps: int) -> str:
  """Such as ", 12 minutes left", by the mean time of a step so far."""
  lines = [r for r in writer.read_metrics(workdir) if r["split"] == "train"]
  if not lines:
    return ""
  last = lines[-1]
  minutes = last["seconds"] / last["step"] * (steps - last["step"]) / 60
  return f", {math.ceil(minutes):,} minutes left"


def do(
  job: Job, root: str | pathlib.Path, *, data_dir: str | None = None
) -> dict[str, Any]:
  """Trains what is left to train, samples and scores; returns the results.

  Args:
    job: whose `source`, if it has one, is trained.
    root: folder of all runs.
    data_dir: where TFDS sets are.

  Raises:
    Stopped: a signal came while it was training.
    RunError: a loss or gradient that is not finite.
  """
  workdir, trained = job.workdir(root), job
  if job.source is None:
    config = copy.deepcopy(job.config)
    if job.first_stage is not None:
      section = first_stage.kind_of(config).section
      config[section]["workdir"] = str(job.first_stage.workdir(root))
    if job.start is not None:
      config["task"]["start"] = str(job.start.workdir(root))
    refuse_stopped(train.train(config, workdir, data_dir=data_dir))
  else:
    trained = job.source
  restored = runs.restore(
    trained.workdir(root), data_dir=data_dir, config=job.config
  )
  if trained is not job:
    # The report shows the curves of the training, the record its seconds.
    curves = restored.workdir / writer.METRICS_FILE
    workdir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(curves, workdir / writer.METRICS_FILE)
    restored = dataclasses.replace(restored, workdir=workdir)
  return evaluate.evaluate(restored)

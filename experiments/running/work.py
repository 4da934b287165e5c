"""One run of a row: its state, and the rest of its work."""

import dataclasses
import math
import pathlib
import shutil
from typing import Any

from experiments.rows import deviations
from experiments.rows.base import Job
from pseudovideo import errors, runs
from pseudovideo.config import comparing, parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.runs import (
  checkpoints,
  metric_log,
  results,
  sample_files,
)
from pseudovideo.runs.checkpoints import restoring
from pseudovideo.tasks import first_stage
from pseudovideo.training import loop

LOCK_FILE = "lock"


class Stopped(Exception):
  """Training was stopped by a signal."""

  def __init__(self, outcome: loop.Outcome):
    super().__init__(outcome)
    self.outcome = outcome


def refuse_stopped(outcome: loop.Outcome) -> loop.Outcome:
  """Returns the outcome of a training that no signal stopped.

  Raises:
    Stopped: a signal stopped it.
  """
  if outcome.stopped_by is not None:
    raise Stopped(outcome)
  return outcome


def finished(
  workdir: pathlib.Path, config: parsing.Config, step: int
) -> dict[str, Any] | None:
  """The results in a folder, if they are this config's own and complete."""
  path = workdir / evaluate.RESULTS_FILE
  if not path.exists() or not (workdir / sample_files.NAME).exists():
    return None
  record = results.read(path)
  if record.get("samples_file") or deviations.of_record(record, config, step):
    return None
  return record


def results_of(job: Job, root: str | pathlib.Path) -> dict[str, Any] | None:
  """The results of a run, None while it is unfinished."""
  steps = job.config.train.steps
  record = finished(job.workdir(root), job.config, steps)
  if record is None or deviations.of_first_stage(job, record["config"]):
    return None
  return record


def check(job: Job, root: str | pathlib.Path) -> None:
  """Refuses a folder with a run that this one cannot resume from.

  Raises:
    UserError: the run was made with another config, or is longer.
  """
  workdir, steps = job.workdir(root), job.config.train.steps
  newest = newest_step(workdir)
  if newest is None:
    return
  saved = runs.saved_config(workdir)
  changed = comparing.differences(saved.raw, job.config.raw)
  changed += deviations.of_first_stage(job, saved.raw)
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
  step, steps = newest_step(job.workdir(root)), job.config.train.steps
  if step is None:
    return f"missing; needs {job.needs.name}" if job.needs else "missing"
  if step == steps:
    return "not scored"
  return f"step {step:,} of {steps:,}{_time_left(job.workdir(root), steps)}"


def _time_left(workdir: pathlib.Path, steps: int) -> str:
  """Words such as ", 12 minutes left", by the mean time of a step so far."""
  lines = [r for r in metric_log.read_metrics(workdir) if r["split"] == "train"]
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
    job: the run; its `source`, if it has one, is trained already.
    root: folder of all runs.
    data_dir: folder of TFDS data sets.

  Raises:
    Stopped: a signal came while it was training.
    RunError: a loss or gradient that is not finite.
  """
  workdir, trained = job.workdir(root), job
  if job.source is None:
    config = job.config
    if job.first_stage is not None:
      section = first_stage.kind_of(config.task_fields).section
      config = config.replaced(
        section, workdir=str(job.first_stage.workdir(root))
      )
    if job.start is not None:
      config = config.replaced("task", start=str(job.start.workdir(root)))
    refuse_stopped(loop.train(config, workdir, data_dir=data_dir))
  else:
    trained = job.source
  restored = runs.restore(
    trained.workdir(root), data_dir=data_dir, config=job.config
  )
  if trained is not job:
    # The report shows the curves of the training, the record its seconds.
    curves = restored.workdir / metric_log.METRICS_FILE
    workdir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(curves, workdir / metric_log.METRICS_FILE)
    restored = dataclasses.replace(restored, workdir=workdir)
  return evaluate.evaluate(restored)

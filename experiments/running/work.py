"""One run of a row: its state, and the rest of its work."""

import dataclasses
import math
import pathlib
import shutil
from typing import Any, NamedTuple

from experiments.rows import deviations
from experiments.rows.base import Job
from pseudovideo import errors, runs
from pseudovideo.config import comparing, parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.files import spared, untrusted
from pseudovideo.runs import (
  checkpoints,
  metric_log,
  results,
  sample_files,
)
from pseudovideo.runs.checkpoints import restoring
from pseudovideo.tasks import first_stage
from pseudovideo.training import loop


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


class Found(NamedTuple):
  """The results in a folder, and what stands against them.

  Attributes:
    record: the content of results.json; None if there is none to use.
    faults: phrases; without any, the record is what the run would give.
  """

  record: dict[str, Any] | None
  faults: list[str]

  @property
  def done(self) -> dict[str, Any] | None:
    """The record, if nothing stands against it."""
    return None if self.faults else self.record


def look(workdir: pathlib.Path, config: parsing.Config, step: int) -> Found:
  """Looks whether the results in a folder are this config's own and complete.

  Args:
    workdir: folder of the run.
    config: the config of the run.
    step: updates that the model should have had.
  """
  path = workdir / evaluate.RESULTS_FILE
  try:
    if not path.exists():
      return Found(None, [])
  except PermissionError:
    return Found(None, [f"{workdir} may not be read by this user"])
  try:
    with results.from_file(path):
      record = results.read(path)
      faults = deviations.of_record(record, config, step)
  except errors.UserError as error:
    return Found(None, [str(error).rstrip(".")])
  if record.get("samples_file"):
    faults.append("the samples of a file were scored")
  samples, scored = workdir / sample_files.NAME, record.get("samples_sha256")
  if not samples.exists():
    faults.append("its samples are missing")
  elif scored and scored != untrusted.sha256(samples):
    faults.append("its samples were replaced")
  return Found(record, faults)


def found(job: Job, root: str | pathlib.Path) -> Found:
  """The results of a run, and what stands against them."""
  workdir = job.workdir(root)
  seen = look(workdir, job.config, job.config.train.steps)
  if seen.done is None:
    return seen
  try:
    with results.from_file(workdir / evaluate.RESULTS_FILE):
      faults = deviations.of_first_stage(job, seen.done["config"])
  except errors.UserError as error:
    faults = [str(error).rstrip(".")]
  return seen._replace(faults=faults)


def results_of(job: Job, root: str | pathlib.Path) -> dict[str, Any] | None:
  """The results of a run, None while it is unfinished."""
  return found(job, root).done


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
  seen = found(job, root)
  if seen.done is not None:
    return "done"
  if seen.faults:
    return f"scored otherwise, so again ({'; '.join(seen.faults)})"
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
  steps_done = [
    row["step"]
    for row in metric_log.read_metrics(workdir)
    if row["split"] == "train"
  ]
  seconds, done = metric_log.train_seconds(workdir), max(steps_done, default=0)
  if not seconds or not done:
    return ""
  minutes = seconds / done * max(0, steps - done) / 60
  return f", {math.ceil(minutes):,} minutes left"


def do(
  job: Job, root: str | pathlib.Path, *, data_dir: str | None = None
) -> dict[str, Any]:
  """Trains what is left to train, samples and scores; returns the results.

  The caller holds the lock of the run's folder.

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
    refuse_stopped(loop.train(config, workdir, data_dir=data_dir, owned=True))
  else:
    trained = job.source
  restored = runs.restore(
    trained.workdir(root), data_dir=data_dir, config=job.config
  )
  if trained is not job:
    # The report shows the curves of the training, the record its seconds.
    curves = restored.workdir / metric_log.METRICS_FILE
    copied = workdir / metric_log.METRICS_FILE
    workdir.mkdir(parents=True, exist_ok=True)
    with spared.Spared("there are no curves").writing("log", copied):
      untrusted.opened(curves).close()
      shutil.copyfile(curves, copied)
    restored = dataclasses.replace(restored, workdir=workdir)
  return evaluate.evaluate(restored)

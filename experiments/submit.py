"""Rows of a table as jobs of a cluster, by the library submitit.

  python -m experiments submit NAME --cluster=slurm --partition=gpu [...]

Every row that is not done becomes a job of its own, which does what `run` does
with --rows=ROW. A job that the cluster ends at its time limit is saved and can
be submitted again. Rows that need another one train it if nobody else does, and
wait for it otherwise: submit the table again later, or the rows that others
need first.

--cluster=local runs the jobs as processes here. It was tested so, and on no
SLURM cluster.
"""

import os
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from experiments import commands, registry, rows, work
from pseudovideo import command_line, errors

LOGS = "submitted"


def define_flags() -> commands.Values:
  """Those of `run` that a job passes on, and those of the cluster."""
  names = [name for name in commands.RUN_FLAGS if name != "dry-run"]
  values = commands.define_flags(names)
  for define, name, default, meaning in (
    (flags.DEFINE_string, "cluster", "slurm", "slurm or local."),
    (flags.DEFINE_string, "partition", None, "Of the cluster."),
    (flags.DEFINE_integer, "minutes", 1440, "Most that a job may take."),
    (flags.DEFINE_integer, "gpus", 1, "Of each job."),
    (flags.DEFINE_integer, "cpus", 8, "Of each job."),
    (flags.DEFINE_boolean, "wait", False, "Until all jobs have ended."),
  ):
    define(name, default, meaning, flag_values=values)
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def do(argv: Sequence[str]) -> int:
  """What a job does: `python -m experiments` with these arguments."""
  from experiments import __main__ as front

  return front.main(argv)


def jobs(name: str, values: commands.Values) -> list[rows.Job]:
  """The runs of a table that are not done.

  Raises:
    UserError: there is nothing to train for that name.
  """
  table = getattr(registry.module(name), "TABLE", None)
  if table is None:
    raise errors.UserError(f"{name} has no rows to submit; run it instead.")
  wanted = commands.chosen_jobs(table, values)
  for job in rows.with_sources(wanted):
    work.check(job, values.root)
  return [job for job in wanted if work.results_of(job, values.root) is None]


def arguments(name: str, job: rows.Job, values: commands.Values) -> list[str]:
  """Those of `python -m experiments` that do one run."""
  passed = {
    flag: values[flag].value
    for flag in ("preset", "dataset", "root", "data_dir", "publish")
    if values[flag].value is not None
  }
  for flag in ("root", "data_dir", "publish"):
    if flag in passed:
      passed[flag] = str(pathlib.Path(passed[flag]).absolute())
  passed |= {"rows": job.row.name, "seeds": job.seed}
  return ["run", name, *(f"--{key}={value}" for key, value in passed.items())]


def executor(values: commands.Values):
  """Submitit's, set up; its logs are in ROOT/submitted.

  Raises:
    UserError: submitit is not installed, --cluster is unknown, or there is no
      SLURM here.
  """
  # Its own set-up of logging would close the handlers of everyone else.
  os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
  try:
    import submitit
  except ImportError:
    raise errors.UserError(
      "Submitting needs the library submitit; make install EXTRA=slurm."
    ) from None
  errors.look_up("--cluster", values.cluster, {"slurm": 0, "local": 0})
  try:
    found = submitit.AutoExecutor(
      folder=pathlib.Path(values.root, LOGS), cluster=values.cluster
    )
  except RuntimeError:
    raise errors.UserError(
      "There is no SLURM here, whose command srun was looked for; submit from "
      "a host of the cluster, or use --cluster=local."
    ) from None
  settings = dict(timeout_min=values.minutes, cpus_per_task=values.cpus)
  if values.cluster == "slurm":
    settings |= dict(gpus_per_node=values.gpus, name="pseudovideo")
    if values.partition:
      settings["slurm_partition"] = values.partition
  found.update_parameters(**settings)
  return found


def run(name: str, argv: Sequence[str]) -> int:
  """Submits, and says what; returns the exit code."""
  values = define_flags()
  if command_line.parse(argv, values) is not None:
    raise errors.UserError("The rows have their own configs; leave it away.")
  missing = jobs(name, values)
  if not missing:
    print("All rows are done.")
    return 0
  cluster = executor(values)
  submitted = []
  for job in missing:
    one = cluster.submit(do, arguments(name, job, values))
    submitted.append(one)
    print(f"{job.title}: job {one.job_id}, log {one.paths.stdout}", flush=True)
  if not values.wait:
    return 0
  return max(one.result() for one in submitted)


def main(name: str, argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(
    lambda rest: run(name, rest), argv, __doc__, define_flags()
  )

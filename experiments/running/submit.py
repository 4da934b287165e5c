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
import types
from collections.abc import Sequence

from absl import flags

from experiments.rows import base
from experiments.running import commands, work
from pseudovideo import errors
from pseudovideo.terminal import command_line

LOGS = "submitted"


def define_flags() -> commands.Values:
  """Defines the flags of `run` that a job passes on, and the cluster's."""
  names = [name for name in commands.RUN_FLAGS if name != "dry-run"]
  values = commands.define_flags(names)
  for define, name, default, meaning in (
    (
      flags.DEFINE_string, "cluster", "slurm",
      "Run jobs by slurm, or local: as processes of this machine.",
    ),
    (
      flags.DEFINE_string, "partition", None,
      "Submit to this partition; the cluster's default if absent.",
    ),
    (flags.DEFINE_integer, "minutes", 1440, "End a job after so many minutes."),
    (flags.DEFINE_integer, "gpus", 1, "Ask for so many GPUs per job."),
    (flags.DEFINE_integer, "cpus", 8, "Ask for so many CPU cores per job."),
    (
      flags.DEFINE_boolean, "wait", False,
      "Wait until all jobs have ended, and end with their exit code.",
    ),
  ):  # fmt: skip
    define(name, default, meaning, flag_values=values)
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def table_of(module: types.ModuleType) -> base.Table:
  """The rows of a table or figure.

  Raises:
    UserError: it has none, so that there is nothing to train.
  """
  table = getattr(module, "TABLE", None)
  if table is None:
    name = module.__name__.rpartition(".")[2]
    raise errors.UserError(f"{name} has no rows to submit; run it instead.")
  return table


def jobs(table: base.Table, values: commands.Values) -> list[base.Job]:
  """The runs of a table that are not done.

  Raises:
    UserError: a folder holds a run with another config.
  """
  wanted = commands.chosen_jobs(table, values)
  for job in base.with_sources(wanted):
    work.check(job, values.root)
  return [job for job in wanted if work.results_of(job, values.root) is None]


def arguments(job: base.Job, values: commands.Values) -> list[str]:
  """The arguments with which a table's own `main` does one run."""
  passed = {
    flag: values[flag].value
    for flag in ("preset", "dataset", "root", "data_dir", "publish")
    if values[flag].value is not None
  }
  for flag in ("root", "data_dir", "publish"):
    if flag in passed:
      passed[flag] = str(pathlib.Path(passed[flag]).absolute())
  passed |= {"rows": job.row.name, "seeds": job.seed}
  return ["run", *(f"--{key}={value}" for key, value in passed.items())]


def executor(values: commands.Values):
  """The executor of submitit, set up; its logs are in ROOT/submitted.

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
    cluster = submitit.AutoExecutor(
      folder=pathlib.Path(values.root, LOGS), cluster=values.cluster
    )
  except RuntimeError:
    raise errors.UserError(
      "There is no SLURM here: its command srun was not found. Submit from a "
      "host of the cluster, or use --cluster=local."
    ) from None
  settings = dict(timeout_min=values.minutes, cpus_per_task=values.cpus)
  if values.cluster == "slurm":
    settings |= dict(gpus_per_node=values.gpus, name="pseudovideo")
    if values.partition:
      settings["slurm_partition"] = values.partition
  cluster.update_parameters(**settings)
  return cluster


def run(module: types.ModuleType, argv: Sequence[str]) -> int:
  """Submits a job for every row that is not done; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values, "The rows have their own configs")
  missing = jobs(table_of(module), values)
  if not missing:
    print("All rows are done.")
    return 0
  cluster = executor(values)
  submitted = []
  for job in missing:
    one = cluster.submit(module.main, arguments(job, values))
    submitted.append(one)
    print(f"{job.title}: job {one.job_id}, log {one.paths.stdout}", flush=True)
  if not values.wait:
    return 0
  return max(one.result() for one in submitted)


def main(module: types.ModuleType, argv: Sequence[str]) -> int:
  """The command for one table or figure; returns the exit code.

  Args:
    module: the table's, with `TABLE` and `main`.
    argv: arguments behind its name.
  """
  return command_line.answer(
    lambda rest: run(module, rest), argv, __doc__, define_flags()
  )

"""The command line that all tables and figures share.

python -m experiments run NAME [--FLAG=VALUE ...]
python -m experiments report NAME [--FLAG=VALUE ...]
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence

from absl import flags

from experiments.reporting import report
from experiments.rows import base
from experiments.running import runner, work
from pseudovideo import errors
from pseudovideo.evaluation import evaluate
from pseudovideo.terminal import command_line

Values = flags.FlagValues

# Name of a flag -> its default and its help.
STRINGS = {
  "preset": (
    "small",
    "Take networks and budgets of this size: tiny, small or paper.",
  ),
  "dataset": (
    "digits",
    "Train on this set: digits, mnist, cifar10, celeb_a or folder:PATH.",
  ),
  "root": ("runs", "Keep all runs in this folder."),
  "data_dir": (
    None,
    "Read TFDS sets from this folder; $PSEUDOVIDEO_DATA_DIR if absent.",
  ),
  "publish": (None, "Copy the results of finished rows to this folder."),
  "recipe": (
    "as_published",
    "Take tokenizers of this recipe: as_published or recommended.",
  ),
  "results": (
    None,
    "Read published results in this folder instead of runs in --root.",
  ),
}
LISTS = {
  "rows": "Take these rows, commas between; all if absent.",
  "seeds": "Train with these seeds, commas between; each row's own if absent.",
}
WHICH_RUNS = ("preset", "dataset", "rows", "seeds", "root")
RUN_FLAGS = (*WHICH_RUNS, "data_dir", "dry-run", "publish")


@dataclasses.dataclass(frozen=True)
class Command:
  """A verb of a table or figure, such as `run`.

  Attributes:
    flags: names of the flags that it reads.
    call: the parsed flags -> exit code.
  """

  flags: Sequence[str]
  call: Callable[[Values], int]


def define_flags(names: Sequence[str]) -> Values:
  """Defines the flags of these names."""
  values = Values()
  for name in names:
    if name in STRINGS:
      flags.DEFINE_string(name, *STRINGS[name], flag_values=values)
    elif name in LISTS:
      flags.DEFINE_list(name, None, LISTS[name], flag_values=values)
  if "format" in names:
    flags.DEFINE_enum(
      "format", "text", list(report.FORMATS), "Print the table in this format.",
      flag_values=values,
    )  # fmt: skip
  if "dry-run" in names:
    flags.DEFINE_boolean(
      "dry-run", False, "List the rows and their state, and run nothing.",
      flag_values=values,
    )  # fmt: skip
  for name in values:
    # --help shows flags of the program, which this module is not.
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def main(commands: Mapping[str, Command], doc: str, argv: Sequence[str]) -> int:
  """Calls the command that the first argument names; returns the exit code.

  Args:
    commands: first argument -> its command.
    doc: text that --help prints above the flags.
    argv: arguments, without the program.
  """

  def run(argv: Sequence[str]) -> int:
    name, *rest = argv or [""]
    if name not in commands:
      raise errors.UserError(
        f"The first argument must be {' or '.join(commands)}; got {name!r}."
      )
    values = define_flags(commands[name].flags)
    command_line.parse_flags(rest, values, "The rows have their own configs")
    try:
      return commands[name].call(values)
    except work.Stopped as stop:
      print(command_line.stop_sentence(stop.outcome))
      return 128 + stop.outcome.stopped_by

  everything = [name for command in commands.values() for name in command.flags]
  every_flag = define_flags(tuple(dict.fromkeys(everything)))
  return command_line.answer(run, argv, doc, every_flag)


def table_main(table: base.Table, doc: str, argv: Sequence[str]) -> int:
  """The `main` of a table: runs its rows, reports their scores."""
  return main(table_commands(table), doc, argv)


def table_commands(table: base.Table) -> dict[str, Command]:
  """The commands `run` and `report` of a table."""
  return {
    "run": Command(
      RUN_FLAGS,
      lambda values: run_table(table, values),
    ),
    "report": Command(
      (*WHICH_RUNS, "results", "format"),
      lambda values: print(report_table(table, values)) or 0,
    ),
  }


def run_table(table: base.Table, values: Values) -> int:
  """Runs the rows that are not done; returns the exit code.

  Raises:
    Stopped: a signal came during training.
  """
  jobs = chosen_jobs(table, values)
  if values["dry-run"].value:
    print(runner.overview(jobs, values.root))
    return 0
  command_line.set_up()
  publish = None
  if values.publish:
    publish = runner.publisher(values.publish, table.family)
  return runner.run(
    jobs, values.root, data_dir=values.data_dir, publish=publish
  )


def run_figure(
  table: base.Table, values: Values, draw: Callable[[], int]
) -> int:
  """Runs the rows that are not done, then draws; returns the exit code."""
  code = run_table(table, values)
  return code if code or values["dry-run"].value else draw()


def require_samples(jobs: Sequence[base.Job], root: str) -> None:
  """Refuses to draw a figure of runs that are not done.

  Args:
    jobs: the runs that the figure shows.
    root: folder of all runs.

  Raises:
    UserError: a model was not sampled yet.
  """
  for job in jobs:
    if work.results_of(job, root) is None:
      raise errors.UserError(
        f"There are no samples in {job.workdir(root)} yet; run the figure "
        "instead of reporting it."
      )


def report_table(table: base.Table, values: Values) -> str:
  """The table of the rows that are done."""

  def path(job: base.Job):
    if values.results:
      return job.published(values.results, table.family)
    return job.workdir(values.root) / evaluate.RESULTS_FILE

  return report.report(
    table,
    table.chosen(values.rows),
    values.dataset,
    report.collect(chosen_jobs(table, values), path),
    values.format,
  )


def chosen_jobs(table: base.Table, values: Values) -> list[base.Job]:
  """The runs that --rows, --seeds, --dataset and --preset name, checked.

  Raises:
    UserError: there is no such row, data set or preset, or a bad seed.
  """
  seeds = values.seeds and [_seed(text) for text in values.seeds]
  jobs = base.jobs(
    table.chosen(values.rows), values.dataset, values.preset, seeds
  )
  for job in base.with_sources(jobs):
    _ = job.config  # Mistakes of a later row are named before the first runs.
  return jobs


def _seed(text: str) -> int:
  if not text.isdecimal():
    raise errors.UserError(
      f"--seeds must be whole numbers, as in --seeds=0,1; got {text!r}."
    )
  return int(text)

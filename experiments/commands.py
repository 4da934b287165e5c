"""The command line that all tables and figures share.

python -m experiments.NAME run [--FLAG=VALUE ...]
python -m experiments.NAME report [--FLAG=VALUE ...]
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence

from absl import flags

from experiments import report, rows, runner, work
from pseudovideo import command_line, configuration, errors, evaluate

Values = flags.FlagValues

# Name of a flag -> what defines it.
STRINGS = {
  "preset": ("small", "A preset of the config file: small, tiny, paper."),
  "dataset": ("digits", "A name of pseudovideo.data.load."),
  "root": ("runs", "Folder of all runs."),
  "data_dir": (None, "Where TFDS data sets are."),
  "publish": (None, "Copy results of finished rows below this folder."),
  "recipe": ("as_published", "Of the tokenizers: as_published, recommended."),
  "results": (None, "Read published results below this folder, not --root."),
}
LISTS = {
  "rows": "Names of rows; all if absent.",
  "seeds": "Training seeds; each row's own if absent.",
}
OF_RUNS = ("preset", "dataset", "rows", "seeds", "root")
RUN_FLAGS = (*OF_RUNS, "data_dir", "dry-run", "publish")


@dataclasses.dataclass(frozen=True)
class Command:
  """What follows the name of a table or figure.

  Attributes:
    flags: that it reads.
    call: the parsed flags -> exit code.
  """

  flags: Sequence[str]
  call: Callable[[Values], int]


def define_flags(names: Sequence[str]) -> Values:
  """The flags of these names."""
  values = Values()
  for name in names:
    if name in STRINGS:
      flags.DEFINE_string(name, *STRINGS[name], flag_values=values)
    elif name in LISTS:
      flags.DEFINE_list(name, None, LISTS[name], flag_values=values)
  if "format" in names:
    flags.DEFINE_enum(
      "format", "text", list(report.FORMATS), "Of the table.",
      flag_values=values,
    )  # fmt: skip
  if "dry-run" in names:
    flags.DEFINE_boolean(
      "dry-run", False, "Only list the rows and their state.",
      flag_values=values,
    )  # fmt: skip
  for name in values:
    # --help shows flags of the program, which this module is not.
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def main(commands: Mapping[str, Command], doc: str, argv: Sequence[str]) -> int:
  """Does what the arguments say; returns the exit code.

  Args:
    commands: first argument -> what it does.
    doc: what --help prints above the flags.
    argv: without the program.
  """

  def run(argv: Sequence[str]) -> int:
    name, *rest = argv or [""]
    if name not in commands:
      raise errors.UserError(
        f"The first argument must be {' or '.join(commands)}; got {name!r}."
      )
    values = define_flags(commands[name].flags)
    if command_line.parse(rest, values) is not None:
      raise errors.UserError(
        "The rows have their own configs; leave --config away, or give it to "
        "python -m pseudovideo.main."
      )
    try:
      return commands[name].call(values)
    except work.Stopped as stop:
      print(command_line.stop_sentence(stop.outcome))
      return 128 + stop.outcome.stopped_by

  everything = [name for command in commands.values() for name in command.flags]
  every_flag = define_flags(tuple(dict.fromkeys(everything)))
  return command_line.answer(run, argv, doc, every_flag)


def table_main(table: rows.Table, doc: str, argv: Sequence[str]) -> int:
  """`main` for a table: run its rows, report their scores."""
  return main(of_table(table), doc, argv)


def of_table(table: rows.Table) -> dict[str, Command]:
  """`run` and `report` of its rows."""
  return {
    "run": Command(
      RUN_FLAGS,
      lambda values: run_table(table, values),
    ),
    "report": Command(
      (*OF_RUNS, "results", "format"),
      lambda values: print(report_table(table, values)) or 0,
    ),
  }


def run_table(table: rows.Table, values: Values) -> int:
  """Runs what is not done; returns the exit code.

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


def report_table(table: rows.Table, values: Values) -> str:
  """The table of what is done."""

  def path(job: rows.Job):
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


def chosen_jobs(table: rows.Table, values: Values) -> list[rows.Job]:
  """The runs that --rows, --seeds, --dataset and --preset name, checked.

  Raises:
    UserError: there is no such row, data set or preset, or a bad seed.
  """
  seeds = values.seeds and [_seed(text) for text in values.seeds]
  jobs = rows.jobs(
    table.chosen(values.rows), values.dataset, values.preset, seeds
  )
  for job in rows.with_sources(jobs):
    configuration.parse(job.config)
  return jobs


def _seed(text: str) -> int:
  if not text.isdecimal():
    raise errors.UserError(
      f"--seeds must be whole numbers, as in --seeds=0,1; got {text!r}."
    )
  return int(text)

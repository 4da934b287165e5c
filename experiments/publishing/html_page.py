"""One page with all tables: the paper's values, ours, and what they cost.

  python -m experiments report [--results=results] [--out=report.html]
  python -m experiments report --root=runs
  python -m experiments report --format=md [--tables=table3,table4]

Takes published results, or with --root results of runs, whose own reports are
then linked. Every data set and preset that has results has its table; rows
without are dashes. Pictures that lie beside the results are shown below. With
another format than html the tables are printed instead.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from absl import flags

from experiments import registry
from experiments.reporting import report, tables
from experiments.rows import base as rows
from pseudovideo import errors
from pseudovideo.evaluation import evaluate
from pseudovideo.report import drawing, page
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

TITLE = "Pseudo videos: every table"
OUT = "report.html"


@dataclasses.dataclass(frozen=True)
class Place:
  """A folder of results.

  Attributes:
    folder: folder of published results, or of all runs.
    published: True for published results.
  """

  folder: pathlib.Path
  published: bool

  def path(self, job: rows.Job, family: str) -> pathlib.Path:
    """The results file of a run."""
    if self.published:
      return job.published(self.folder, family)
    return job.workdir(self.folder) / evaluate.RESULTS_FILE

  def files(self, group: pathlib.Path) -> list[pathlib.Path]:
    """The results files in a folder DATASET-PRESET."""
    pattern = "*-seed*.json" if self.published else f"*/{evaluate.RESULTS_FILE}"
    return sorted(group.glob(pattern))

  def groups(self, family: str) -> list[pathlib.Path]:
    """The folders DATASET-PRESET of a family of tables."""
    base = self.folder / family if self.published else self.folder
    return sorted(path for path in base.glob("*-*") if path.is_dir())


def _scored(
  table: rows.Table, place: Place, group: pathlib.Path
) -> tuple[str, list[report.Scored]]:
  """The data set of a folder, and the runs of a table that lie in it."""
  preset = group.name.rpartition("-")[2]
  files = place.files(group)
  if preset not in table.rows[0].module.PRESETS or not files:
    # A folder of something else, such as tuning.
    return "", []
  for file in files:
    try:
      with results.from_file(file):
        dataset = results.read(file)["config"]["data"]["name"]
        jobs = rows.jobs(table.rows, dataset, preset, _seeds(group))
      break
    except errors.UserError as error:
      _say_left_out(str(error))
  else:
    return "", []
  return dataset, report.collect(
    jobs, lambda job: place.path(job, table.family)
  )


def _say_left_out(sentence: str) -> None:
  """Says why a file is not shown."""
  print(f"Left out: {sentence}", file=sys.stderr)


def _seeds(group: pathlib.Path) -> list[int] | None:
  """The seeds of the results in a folder, None if there are none."""
  names = [path.name.removesuffix(".json") for path in group.glob("*-seed*")]
  ends = {name.rpartition("-seed")[2] for name in names}
  return sorted(int(end) for end in ends if end.isdecimal()) or None


class TableResults(NamedTuple):
  """A table of one data set and preset that has results.

  Attributes:
    table: the table.
    group: name of the folder, DATASET-PRESET.
    dataset: data set whose paper scores are shown.
    scored: runs with results.
  """

  table: rows.Table
  group: str
  dataset: str
  scored: list[report.Scored]


def collect(
  place: Place, names: Iterable[str] | None = None
) -> dict[str, list[TableResults]]:
  """Every table, with all data sets and presets that have results.

  Args:
    place: folder of the results.
    names: names of tables; all by default.

  Raises:
    UserError: there is no such table, or there are no results at all.
  """
  everything, found = registry.tables(), {}
  for name in names or everything:
    table = errors.look_up("table", name, everything)
    groups = {g: _scored(table, place, g) for g in place.groups(table.family)}
    found[name] = [
      TableResults(table, group.name, dataset, scored)
      for group, (dataset, scored) in groups.items()
      if scored
    ]
  if not any(found.values()):
    raise errors.UserError(
      f"There are no results of {', '.join(names or ['any table'])} in "
      f"{place.folder}."
    )
  return found


def build(
  place: Place, out: pathlib.Path, names: Iterable[str] | None = None
) -> page.Report:
  """Builds the page.

  Args:
    place: folder of the results.
    out: file that the page will be written to; links start from its folder.
    names: names of tables; all by default.

  Raises:
    UserError: there is no such table, or there are no results at all.
  """
  report_page = page.Report(
    TITLE, "The paper's values, ours, and what they cost."
  )
  found = collect(place, names)
  for name, filled in found.items():
    if filled:
      report_page.section(
        filled[0].table.title, f"python -m experiments run {name}"
      )
    for one in filled:
      _add_table(report_page, one)
      if not place.published:
        _add_links(report_page, one, place, out)
  _add_pictures(report_page, place)
  if empty := [name for name, filled in found.items() if not filled]:
    report_page.section("Not run", f"No results yet: {', '.join(empty)}.")
  return report_page


def as_text(
  place: Place, style: str, names: Iterable[str] | None = None
) -> str:
  """Tables one below the other, in a format of `report.FORMATS`.

  Args:
    place: folder of the results.
    style: a key of `report.FORMATS`.
    names: names of tables; all by default.

  Raises:
    UserError: there is no such table, or there are no results at all.
  """
  parts = []
  for filled in collect(place, names).values():
    for one in filled:
      table = one.table
      lines = report.report(table, table.rows, one.dataset, one.scored, style)
      title = f"{one.table.title}, {one.group}"
      parts.append(lines if style == "text" else f"{title}\n\n{lines}")
  return "\n\n\n".join(parts)


def _add_table(report_page: page.Report, one: TableResults) -> None:
  table, scored = one.table, one.scored
  rows_run = report.with_results(table.rows, scored)
  header, lines = tables.without_dashes(
    *report.score_table(table, rows_run, one.dataset, scored)
  )
  left = "; ".join(report.not_run(table.rows, one.dataset, scored))
  caption = f"{one.group}. Not run: {left}." if left else one.group
  report_page.table(header, lines, caption)
  notes = "\n\n".join(report.notes(table, rows_run, scored))
  report_page.details("What the numbers are", notes)


def _add_links(
  report_page: page.Report, one: TableResults, place: Place, out: pathlib.Path
) -> None:
  jobs = [scored.job for scored in one.scored]
  pages = {job.title: job.workdir(place.folder) / "report.html" for job in jobs}
  report_page.links(
    "Runs",
    {
      title: os.path.relpath(path, out.parent)
      for title, path in pages.items()
      if path.exists()
    },
  )


def _add_pictures(report_page: page.Report, place: Place) -> None:
  """Adds the PNG files that lie beside results."""
  pattern = "*/*-*/*.png" if place.published else "*-*/*.png"
  files = sorted(place.folder.glob(pattern))
  if files:
    report_page.section("Pictures")
  for file in files:
    try:
      picture = drawing.read_png(file)
    except errors.UserError as error:
      _say_left_out(str(error))
    else:
      report_page.figure(picture, f"{file.parent.name}/{file.name}")


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  for name, default, meaning in (
    ("results", "results", "Read published results in this folder."),
    ("root", None, "Read the runs in this folder instead of --results."),
    ("out", OUT, "Write the page to this file."),
  ):
    flags.DEFINE_string(name, default, meaning, flag_values=values)
  flags.DEFINE_list(
    "tables",
    None,
    "Show these tables, commas between; all if absent.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "format", "html", ["html", *report.FORMATS],
    "Write a page (html), or print tables in another format.",
    flag_values=values,
  )  # fmt: skip
  for name in values:
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def run(argv: Sequence[str]) -> int:
  """Writes the page and says where it is, or prints; returns exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values, "A page takes no config")
  place = Place(pathlib.Path(values.root or values.results), not values.root)
  if values.format != "html":
    print(as_text(place, values.format, values.tables))
    return 0
  out = pathlib.Path(values.out).absolute()
  print(build(place, out, values.tables).write(out))
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())

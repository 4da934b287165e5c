"""One page with all tables: the paper's values, ours, and what they cost.

  python -m experiments report [--results=results] [--out=report.html]
  python -m experiments report --root=runs
  python -m experiments report --format=md [--tables=table3,table4]

Takes published results, or with --root those of runs, whose own reports are
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

import numpy as np
from absl import flags

from experiments import registry, report, rows, tables
from pseudovideo import command_line, errors, evaluate, results
from pseudovideo.report import page

TITLE = "Pseudo videos: every table"
OUT = "report.html"


@dataclasses.dataclass(frozen=True)
class Place:
  """Where results lie.

  Attributes:
    folder: of published results, or of all runs.
    published: which of them.
  """

  folder: pathlib.Path
  published: bool

  def path(self, job: rows.Job, family: str) -> pathlib.Path:
    """The results of a run."""
    if self.published:
      return job.published(self.folder, family)
    return job.workdir(self.folder) / evaluate.RESULTS_FILE

  def files(self, group: pathlib.Path) -> list[pathlib.Path]:
    """All results in such a folder."""
    pattern = "*-seed*.json" if self.published else f"*/{evaluate.RESULTS_FILE}"
    return sorted(group.glob(pattern))

  def groups(self, family: str) -> list[pathlib.Path]:
    """Folders DATASET-PRESET."""
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
  dataset = results.read(files[0])["config"]["data"]["name"]
  jobs = rows.jobs(table.rows, dataset, preset, _seeds(group))
  return dataset, report.collect(
    jobs, lambda job: place.path(job, table.family)
  )


def _seeds(group: pathlib.Path) -> list[int] | None:
  """All that are there."""
  names = [path.name.removesuffix(".json") for path in group.glob("*-seed*")]
  ends = {name.rpartition("-seed")[2] for name in names}
  return sorted(int(end) for end in ends if end.isdecimal()) or None


class Filled(NamedTuple):
  """A table of one data set and preset that has results.

  Attributes:
    table: its rows.
    group: name of the folder, DATASET-PRESET.
    dataset: whose paper scores are shown.
    scored: what is there.
  """

  table: rows.Table
  group: str
  dataset: str
  scored: list[report.Scored]

  @property
  def rows(self) -> list[rows.Row]:
    """All but the controls that were not run."""
    ran = {one.job.row.name for one in self.scored}
    return [r for r in self.table.rows if not r.beyond or r.name in ran]


def collect(
  place: Place, names: Iterable[str] | None = None
) -> dict[str, list[Filled]]:
  """Every table, with all data sets and presets that have results.

  Args:
    place: of the results.
    names: of tables; all by default.

  Raises:
    UserError: there is no such table, or there are no results at all.
  """
  everything, found = registry.tables(), {}
  for name in names or everything:
    table = errors.look_up("table", name, everything)
    groups = {g: _scored(table, place, g) for g in place.groups(table.family)}
    found[name] = [
      Filled(table, group.name, dataset, scored)
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
  """The page.

  Args:
    place: of the results.
    out: where it will be, which links start from.
    names: of tables; all by default.

  Raises:
    UserError: see `collect`.
  """
  made = page.Report(TITLE, "The paper's values, ours, and what they cost.")
  found = collect(place, names)
  for name, filled in found.items():
    if filled:
      made.section(filled[0].table.title, f"python -m experiments run {name}")
    for one in filled:
      _add_table(made, one)
      if not place.published:
        _add_links(made, one, place, out)
  _add_pictures(made, place)
  if empty := [name for name, filled in found.items() if not filled]:
    made.section("Not run", f"No results yet: {', '.join(empty)}.")
  return made


def printed(
  place: Place, style: str, names: Iterable[str] | None = None
) -> str:
  """All tables one below the other, in a format of `report.FORMATS`."""
  parts = []
  for filled in collect(place, names).values():
    for one in filled:
      lines = report.report(one.table, one.rows, one.dataset, one.scored, style)
      title = f"{one.table.title}, {one.group}"
      parts.append(lines if style == "text" else f"{title}\n\n{lines}")
  return "\n\n\n".join(parts)


def _add_table(made: page.Report, one: Filled) -> None:
  header, lines = report.score_table(
    one.table, one.rows, one.dataset, one.scored
  )
  cells = [[None if c == tables.NOTHING else c for c in row] for row in lines]
  made.table(header, cells, one.group)
  made.details(
    "What the numbers are",
    "\n\n".join(report.notes(one.table, one.rows, one.scored)),
  )


def _add_links(
  made: page.Report, one: Filled, place: Place, out: pathlib.Path
) -> None:
  jobs = [scored.job for scored in one.scored]
  pages = {job.title: job.workdir(place.folder) / "report.html" for job in jobs}
  made.links(
    "Runs",
    {
      title: os.path.relpath(path, out.parent)
      for title, path in pages.items()
      if path.exists()
    },
  )


def _add_pictures(made: page.Report, place: Place) -> None:
  """All PNG files beside results."""
  from PIL import Image

  pattern = "*/*-*/*.png" if place.published else "*-*/*.png"
  files = sorted(place.folder.glob(pattern))
  if files:
    made.section("Pictures")
  for file in files:
    with Image.open(file) as picture:
      pixels = np.asarray(picture.convert("RGB"))
    made.figure(pixels, f"{file.parent.name}/{file.name}")


def define_flags() -> flags.FlagValues:
  """What can be said on the command line."""
  values = flags.FlagValues()
  for name, default, meaning in (
    ("results", "results", "Folder of published results."),
    ("root", None, "Folder of all runs; read instead of --results."),
    ("out", OUT, "The page."),
  ):
    flags.DEFINE_string(name, default, meaning, flag_values=values)
  flags.DEFINE_list("tables", None, "Names; all if absent.", flag_values=values)
  flags.DEFINE_enum(
    "format", "html", ["html", *report.FORMATS], "A page, or printed.",
    flag_values=values,
  )  # fmt: skip
  for name in values:
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def run(argv: Sequence[str]) -> int:
  """Writes the page and says where it is, or prints; returns exit code."""
  values = define_flags()
  if command_line.parse(argv, values) is not None:
    raise errors.UserError("A page takes no config; leave --config away.")
  place = Place(pathlib.Path(values.root or values.results), not values.root)
  if values.format != "html":
    print(printed(place, values.format, values.tables))
    return 0
  out = pathlib.Path(values.out).absolute()
  print(build(place, out, values.tables).write(out))
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())

"""One page with all tables: the paper's values, ours, and what they cost.

  python -m experiments report [--results=results] [--out=report.html]
  python -m experiments report --root=runs

Takes published results, or with --root those of runs, whose own reports are
then linked. Every data set and preset that has results has its table; rows
without are dashes. Pictures that lie beside the results are shown below.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Sequence

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


def build(place: Place, out: pathlib.Path) -> page.Report:
  """The page.

  Args:
    place: of the results.
    out: where it will be, which links start from.

  Raises:
    UserError: there are no results at all.
  """
  made = page.Report(TITLE, "The paper's values, ours, and what they cost.")
  shown, empty = 0, []
  for name, table in registry.tables().items():
    groups = {
      group: _scored(table, place, group)
      for group in place.groups(table.family)
    }
    groups = {group: found for group, found in groups.items() if found[1]}
    if not groups:
      empty.append(name)
      continue
    shown += 1
    made.section(table.title, f"python -m experiments run {name}")
    for group, (dataset, scored) in groups.items():
      _add_table(made, table, dataset, scored, group.name)
      if not place.published:
        _add_links(made, [s.job for s in scored], place, out)
  if not shown:
    raise errors.UserError(
      f"There are no results of any table in {place.folder}."
    )
  _add_pictures(made, place)
  if empty:
    made.section("Not run", f"No results yet: {', '.join(empty)}.")
  return made


def _add_table(
  made: page.Report,
  table: rows.Table,
  dataset: str,
  scored: list[report.Scored],
  caption: str,
) -> None:
  ran = {one.job.row.name for one in scored}
  chosen = [row for row in table.rows if not row.beyond or row.name in ran]
  header, lines = report.score_table(table, chosen, dataset, scored)
  cells = [[None if c == tables.NOTHING else c for c in row] for row in lines]
  made.table(header, cells, caption)
  made.details(
    "What the numbers are", "\n\n".join(report.notes(table, chosen, scored))
  )


def _add_links(
  made: page.Report,
  jobs: Sequence[rows.Job],
  place: Place,
  out: pathlib.Path,
) -> None:
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
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def run(argv: Sequence[str]) -> int:
  """Writes the page and says where it is; returns the exit code."""
  values = define_flags()
  if command_line.parse(argv, values) is not None:
    raise errors.UserError("A page takes no config; leave --config away.")
  place = Place(pathlib.Path(values.root or values.results), not values.root)
  out = pathlib.Path(values.out).absolute()
  print(build(place, out).write(out))
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())

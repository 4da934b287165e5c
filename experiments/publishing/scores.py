"""Tables of scores: those of `python -m experiments run`, and of the demo."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

from experiments.paper import (
  table1,
  table2_generation,
  table2_reconstruction,
  table3,
  table4,
)
from experiments.publishing import sheets
from experiments.reporting import circumstances, instruments, report, tables
from experiments.rows import base
from experiments.studies import demo as demo_study
from experiments.studies import ivvae_ablation, latent_diffusion
from pseudovideo import errors
from pseudovideo.runs import results

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class ExperimentTable:
  """A table of `python -m experiments run NAME --publish=results`.

  Attributes:
    table: the table.
    dataset: data set of the runs.
    preset: preset of the runs.
    folder: folder of the results, below the root.
    beside: another table, of rows that are not missing here.
  """

  table: base.Table
  dataset: str
  preset: str
  folder: str = "results"
  beside: "ExperimentTable | None" = None

  def scored(self) -> list[report.Scored]:
    """The published runs, in the order of the table."""
    jobs = base.jobs(self.table.rows, self.dataset, self.preset)
    return report.collect(jobs, self._path)

  def sheet(self) -> sheets.Sheet:
    """The table, its rows without results named below it."""
    rows, scored = self.table.rows, self.scored()
    shown = report.with_results(rows, scored)
    arguments = (self.table, shown, self.dataset, scored)
    header, lines = report.score_table(*arguments)
    return sheets.Sheet(
      self._title(scored),
      header,
      lines,
      notes=report.notes(self.table, shown, scored),
      not_run=report.not_run(self._expected(), self.dataset, scored),
      page=report.page_table(
        *arguments, lambda job: os.path.relpath(self._path(job), ROOT)
      ),
    )

  def _title(self, scored: list[report.Scored]) -> str:
    title = f"{self.table.title}, {self.dataset} ({self.preset})"
    networks = tables.feature_networks(scored[0].record) if scored else []
    older = any(map(instruments.is_older, networks))
    return f"{title}, by an older classifier" if older else title

  def _expected(self) -> Sequence[base.Row]:
    """The rows that are missing if they have no results."""
    if self.folder != "results":
      return ()
    if self.beside is None:
      return self.table.rows
    elsewhere = {one.job.row.name for one in self.beside.scored()}
    return [row for row in self.table.rows if row.name not in elsewhere]

  def _path(self, job: base.Job) -> pathlib.Path:
    return job.published(ROOT / self.folder, self.table.family)


def of_files(
  title: str, files: Mapping[str, str], shown: tuple[str, ...]
) -> sheets.Sheet:
  """A table of single results files.

  Args:
    title: title of the table.
    files: label of a row -> its file below results/.
    shown: columns that a page shows besides the labels.
  """
  records = {}
  for label, file in files.items():
    path = ROOT / "results" / file
    try:
      with results.from_file(path):
        record = instruments.named(results.read(path))
        tables.score_table({label: record})
        records[label] = record
    except errors.UserError as error:
      print(f"{title}, {label} is left out: {error}", file=sys.stderr)
  header, lines = tables.score_table(records)
  return sheets.Sheet(
    title,
    header,
    lines,
    notes=circumstances.of([_only(r, shown) for r in records.values()]),
    shown=shown,
  )


def _only(record: report.Record, shown: Sequence[str]) -> report.Record:
  """The record without the scores that are not among the columns."""
  metrics = {
    row: {name: one for name, one in scores.items() if name in shown}
    for row, scores in record["metrics"].items()
  }
  return {**record, "metrics": metrics}


def demo() -> sheets.Sheet:
  """The table of `make demo`."""
  return of_files(
    "make demo, digits",
    {
      "pseudo-video encoder": "demo/heat.json",
      "free encoder": "demo/learned.json",
    },
    (*demo_study.SCORES, "steps", "seconds"),
  )


def hvae_cifar10() -> sheets.Sheet:
  """HVAEs of CIFAR-10 that were trained for some minutes on a GPU."""
  return of_files(
    "HVAEs, cifar10, minutes on a GPU",
    {
      "heat equation, sigma_h 0.05": "hvae_cifar10/heat_sigma_h_0.05.json",
      "heat equation, sigma_h 0.1": "hvae_cifar10/heat_sigma_h_0.1.json",
      "free encoder": "hvae_cifar10/learned.json",
    },
    (
      *(f"{kind}-cifar10cls-d10a7032" for kind in ("FD", "KID", "IS")),
      "nearest-train",
      *("steps", "seconds"),
    ),
  )


OLDER = {
  f"{table.name}_older": ExperimentTable(
    table, "cifar10", "small", "results/older"
  )
  for table in (table2_reconstruction.TABLE, table2_generation.TABLE)
}
EXPERIMENTS = {
  "table1": ExperimentTable(table1.TABLE, "mnist", "small"),
  "table2_reconstruction": ExperimentTable(
    table2_reconstruction.TABLE,
    "cifar10",
    "small",
    beside=OLDER["table2_reconstruction_older"],
  ),
  "table2_generation": ExperimentTable(
    table2_generation.TABLE,
    "cifar10",
    "small",
    beside=OLDER["table2_generation_older"],
  ),
  "table3": ExperimentTable(table3.TABLE, "digits", "small"),
  "table4": ExperimentTable(table4.TABLE, "digits", "small"),
  "ivvae_ablation": ExperimentTable(ivvae_ablation.TABLE, "cifar10", "small"),
  "latent_diffusion": ExperimentTable(
    latent_diffusion.TABLE, "cifar10", "small"
  ),
}
TABLES = {
  "demo": demo,
  **{name: entry.sheet for name, entry in EXPERIMENTS.items()},
  "hvae_cifar10": hvae_cifar10,
  **{name: entry.sheet for name, entry in OLDER.items()},
}

"""Tables of scores: those of `python -m experiments run`, and of the demo."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping

from experiments.paper import (
  table1,
  table2_generation,
  table2_reconstruction,
  table3,
  table4,
)
from experiments.publishing import sheets
from experiments.reporting import circumstances, report, tables
from experiments.rows import base
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
  """

  table: base.Table
  dataset: str
  preset: str

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
      f"{self.table.title}, {self.dataset} ({self.preset})",
      header,
      lines,
      notes=report.notes(self.table, shown, scored),
      not_run=report.not_run(rows, self.dataset, scored),
      page=report.page_table(
        *arguments, lambda job: os.path.relpath(self._path(job), ROOT)
      ),
    )

  def _path(self, job: base.Job) -> pathlib.Path:
    return job.published(ROOT / "results", self.table.family)


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
        record = results.read(path)
        tables.score_table({label: record})
        records[label] = record
    except errors.UserError as error:
      print(f"{title}, {label} is left out: {error}", file=sys.stderr)
  header, lines = tables.score_table(records)
  return sheets.Sheet(
    title,
    header,
    lines,
    notes=circumstances.of(list(records.values())),
    shown=shown,
  )


def demo() -> sheets.Sheet:
  """The table of `make demo`."""
  return of_files(
    "make demo, digits",
    {
      "pseudo-video encoder": "demo/heat.json",
      "free encoder": "demo/learned.json",
    },
    ("FD-digitscls", "IS-digitscls", "nearest-train", "steps", "seconds"),
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
      *("FD-cifar10cls", "KID-cifar10cls", "IS-cifar10cls", "nearest-train"),
      *("steps", "seconds"),
    ),
  )


EXPERIMENTS = {
  "table1": ExperimentTable(table1.TABLE, "mnist", "small"),
  "table2_reconstruction": ExperimentTable(
    table2_reconstruction.TABLE, "cifar10", "small"
  ),
  "table2_generation": ExperimentTable(
    table2_generation.TABLE, "cifar10", "small"
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
}

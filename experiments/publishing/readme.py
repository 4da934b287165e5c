"""Writes the tables of README.md from the files in results/.

  python -m experiments.readme

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

from absl import flags

from experiments.paper import (
  table1,
  table2_generation,
  table2_reconstruction,
  table3,
  table4,
)
from experiments.publishing import studies
from experiments.reporting import report, tables
from experiments.rows import base
from experiments.studies import ivvae_ablation, latent_diffusion
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class ExperimentTable:
  """A table of `python -m experiments run NAME --publish=results`.

  Attributes:
    table: the table.
    dataset: data set of the runs.
    preset: preset of the runs.
    only_run: True leaves out all rows that were not run, False controls alone.
  """

  table: base.Table
  dataset: str
  preset: str
  only_run: bool = False

  def markdown(self) -> str:
    """The table and its notes."""
    jobs = base.jobs(self.table.rows, self.dataset, self.preset)
    scored = report.collect(
      jobs, lambda job: job.published(ROOT / "results", self.table.family)
    )
    ran = {one.job.row.name for one in scored}
    shown = [
      row
      for row in self.table.rows
      if row.name in ran or not (row.is_control or self.only_run)
    ]
    return report.report(self.table, shown, self.dataset, scored, "md")


# Name of a table -> the experiment that it is the table of, or label of each
# row -> its file below results/.
TABLES: dict[str, ExperimentTable | dict[str, str]] = {
  "demo": {
    "pseudo-video encoder": "demo/heat.json",
    "free encoder": "demo/learned.json",
  },
  "hvae_cifar10": {
    "heat equation, sigma_h 0.05": "hvae_cifar10/heat_sigma_h_0.05.json",
    "heat equation, sigma_h 0.1": "hvae_cifar10/heat_sigma_h_0.1.json",
    "free encoder": "hvae_cifar10/learned.json",
  },
  "table1": ExperimentTable(table1.TABLE, "mnist", "small"),
  "table2_reconstruction": ExperimentTable(
    table2_reconstruction.TABLE, "cifar10", "small"
  ),
  "table2_generation": ExperimentTable(
    table2_generation.TABLE, "cifar10", "small"
  ),
  "table3": ExperimentTable(table3.TABLE, "digits", "small"),
  "table4": ExperimentTable(table4.TABLE, "digits", "small"),
  "ivvae_ablation": ExperimentTable(
    ivvae_ablation.TABLE, "cifar10", "small", only_run=True
  ),
  "latent_diffusion": ExperimentTable(
    latent_diffusion.TABLE, "cifar10", "small"
  ),
}


def table(name: str) -> str:
  """One table as Markdown."""
  records = {
    label: results.read(ROOT / "results" / file)
    for label, file in TABLES[name].items()
  }
  network = tables.feature_network(next(iter(records.values())))
  devices = {
    f"{record['provenance']['device']['kind']}, jax "
    f"{record['provenance']['packages']['jax']}"
    for record in records.values()
  }
  seeds = ", ".join(
    sorted({str(record["seeds"]["train"]) for record in records.values()})
  )
  return (
    f"{tables.as_markdown(*tables.score_table(records))}\n\n"
    f"Scored by {network['name']}, a classifier trained by the project with "
    f"{network['held_out_accuracy']:.1%} accuracy on held-out images; training "
    f"seed {seeds}, averaged weights; {'; '.join(sorted(devices))}."
  )


def block(name: str) -> str:
  """The Markdown between the marks of a table."""
  if name in studies.TABLES:
    return studies.TABLES[name]()
  entry = TABLES[name]
  return entry.markdown() if isinstance(entry, ExperimentTable) else table(name)


def fill_tables(text: str) -> str:
  """Writes every table of a text between its marks."""

  def fill(match: re.Match) -> str:
    mark = f"<!-- table: {match.group(1)} -->"
    return f"{mark}\n\n{block(match.group(1))}\n\n<!-- end -->"

  return re.sub(r"<!-- table: (\w+) -->.*?<!-- end -->", fill, text, flags=re.S)


def run(argv: Sequence[str]) -> int:
  """The command, which takes no arguments; returns the exit code."""
  command_line.parse_flags(argv, flags.FlagValues())
  path = ROOT / "README.md"
  path.write_text(fill_tables(path.read_text()))
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, flags.FlagValues())

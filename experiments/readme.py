"""Writes the tables of README.md from the files in results/.

  python -m experiments.readme

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import dataclasses
import json
import pathlib
import re
import sys
from collections.abc import Sequence

import numpy as np
from absl import flags

from experiments import (
  exposure,
  report,
  rows,
  table1,
  table2_generation,
  table2_reconstruction,
  table3,
  table4,
  tables,
)
from pseudovideo import command_line, results

ROOT = pathlib.Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class OfExperiment:
  """A table of `python -m experiments.NAME run --publish=results`.

  Attributes:
    table: its rows.
    dataset: of the runs.
    preset: of the runs.
  """

  table: rows.Table
  dataset: str
  preset: str

  def markdown(self) -> str:
    """The table and its notes; controls that were not run are left out."""
    jobs = rows.jobs(self.table.rows, self.dataset, self.preset)
    scored = report.collect(
      jobs, lambda job: job.published(ROOT / "results", self.table.family)
    )
    ran = {one.job.row.name for one in scored}
    shown = [r for r in self.table.rows if not r.beyond or r.name in ran]
    return report.report(self.table, shown, self.dataset, scored, "md")


# Name of a table -> label of each row -> its file below results/; or the
# experiment that it is of, as in OfExperiment(table3.TABLE, "digits", "small").
TABLES: dict[str, OfExperiment | dict[str, str]] = {
  "demo": {
    "pseudo-video encoder": "demo/heat.json",
    "free encoder": "demo/learned.json",
  },
  "hvae_cifar10": {
    "heat equation, sigma_h 0.05": "hvae_cifar10/heat_sigma_h_0.05.json",
    "heat equation, sigma_h 0.1": "hvae_cifar10/heat_sigma_h_0.1.json",
    "free encoder": "hvae_cifar10/learned.json",
  },
  "table1": OfExperiment(table1.TABLE, "mnist", "small"),
  "table2_reconstruction": OfExperiment(
    table2_reconstruction.TABLE, "cifar10", "small"
  ),
  "table2_generation": OfExperiment(
    table2_generation.TABLE, "cifar10", "small"
  ),
  "table3": OfExperiment(table3.TABLE, "digits", "small"),
  "table4": OfExperiment(table4.TABLE, "digits", "small"),
}

BENCHMARKS = ROOT / "results" / "benchmarks"
DIGITS = ROOT / "results" / "diffusion" / "digits-small"


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


def augmentation_costs() -> str:
  """The table of `python -m benchmarks.augmentations --out=...`."""
  found = json.loads((BENCHMARKS / "augmentations_cpu.json").read_text())
  header = ["", "frames", "us per image", "us per frame"]
  rows = [
    [
      row["name"],
      str(row["frames"]),
      f"{row['us_per_image']:.0f}",
      f"{row['us_per_frame']:.1f}",
    ]
    for row in found["rows"]
  ]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"{found['batch']} images of {found['size']}x{found['size']}x3, "
    f"{found['device']}, two cores."
  )


def diffusion_steps() -> str:
  """The table of `python -m benchmarks.diffusion_step --out=...`."""
  found = json.loads((BENCHMARKS / "diffusion_step_cpu.json").read_text())
  header = [
    "", "batch", "update, s", "of PyTorch's", "denoising step, s",
    "of PyTorch's", "GFLOP/s", "compile, s", "pseudo videos",
  ]  # fmt: skip
  rows = [
    [
      name.replace("_", ", base "),
      str(row["batch"]),
      f"{row['train_seconds']:.3f}",
      f"{row['train_seconds_over_peer']:.2f}",
      f"{row['denoise_seconds']:.3f}",
      f"{row['denoise_seconds_over_peer']:.2f}",
      f"{row['train_gflops_per_second']:.0f}",
      f"{row['train_compile_seconds']:.0f}",
      f"{row['pseudo_video_share']:.2%}"
      if "pseudo_video_share" in row
      else tables.NOTHING,
    ]
    for name, row in found["values"].items()
  ]
  about = found["provenance"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"Medians of {found['repeats']}, {found['dtype']}, "
    f"{about['device']['kind']}, {about['host']['cores']} cores, jax "
    f"{about['packages']['jax']}; PyTorch: {found['peer']['source']}, measured "
    "once, elsewhere in time."
  )


def tokenizer_steps() -> str:
  """The table of `python -m benchmarks.tokenizer_step --out=...`."""
  found = json.loads((BENCHMARKS / "tokenizer_step_cpu.json").read_text())
  header = [
    "", "parameters", "update, CPU-s", "of PyTorch's", "GFLOP", "compile, s",
    "tokens/s encoded", "per CPU-s",
  ]  # fmt: skip
  rows = [
    [
      name,
      f"{row['parameters']:,}",
      f"{row['train_cpu_seconds']:.2f}",
      f"{row['train_cpu_seconds_over_peer']:.2f}",
      f"{row['train_gflop']:.0f}",
      f"{row['train_compile_seconds']:.0f}",
      f"{row['tokens_per_second']:.0f}",
      f"{row['tokens_per_cpu_second']:.0f}",
    ]
    for name, row in found["values"].items()
  ]
  about = found["provenance"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"Batches of {found['batch']}, medians of {found['repeats']}, float32, "
    f"{about['device']['kind']}, {about['host']['cores']} cores beside other "
    f"work, jax {about['packages']['jax']}; PyTorch: {found['peer']['source']}."
  )


def token_sampling() -> str:
  """The table of `python -m benchmarks.token_sampling --out=...`."""
  found = json.loads((BENCHMARKS / "token_sampling_cpu.json").read_text())
  header = [
    "", "parameters", "grids", "CPU-s per grid", "of PyTorch's",
    "tokens per CPU-s", "tokens/s", "compile, s",
  ]  # fmt: skip
  rows = [
    [
      name,
      f"{row['parameters']:,}",
      str(found["batch"][name]),
      f"{row['cpu_seconds_per_grid']:.3f}",
      f"{row['cpu_seconds_over_peer']:.2f}"
      if "cpu_seconds_over_peer" in row
      else tables.NOTHING,
      f"{row['tokens_per_cpu_second']:,.0f}",
      f"{row['tokens_per_second']:,.0f}",
      f"{row['compile_seconds']:.0f}",
    ]
    for name, row in found["values"].items()
  ]
  about = found["provenance"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"Medians of {found['repeats']}, float32, {about['device']['kind']}, "
    f"{about['host']['cores']} cores beside other work, jax "
    f"{about['packages']['jax']}; PyTorch: {found['peer']['source']}."
  )


def exposed() -> str:
  """The table of `python -m experiments.exposure --out=...`."""
  record = results.read(DIGITS / "exposure_high_order_4-seed0.json")
  scores = dict(record["metrics"])
  num = next(iter(scores.pop("generated").values()))["num_samples"]
  return (
    f"{tables.as_markdown(*exposure.table(scores))}\n\n"
    f"4 frames, high order, seed 0, {num:,} samples."
  )


def budgets() -> str:
  """The table of `python -m experiments.sampling_budget`."""
  record = results.read(DIGITS / "budget_one_frame-seed0.json")
  metric = record["metric"]
  header = ["", "evaluations", metric, "enough"]
  rows = [
    [
      row["label"],
      f"{row['evaluations']:,}",
      f"{np.mean(values):.3f} \N{PLUS-MINUS SIGN} "
      f"{np.std(values, ddof=1) / len(values) ** 0.5:.3f}",
      row["verdict"],
    ]
    for row in sorted(record["settings"], key=lambda r: r["evaluations"])
    for values in [row["values"][metric]]
  ]
  num = next(iter(record["metrics"]["generated"].values()))["num_samples"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"1 frame, seed 0, {num:,} samples with each of "
    f"{len(record['seeds']['sample'])} sampling seeds: mean and standard "
    f"error. {' '.join(record['answers'])}"
  )


# Tables that are no score tables.
OTHERS = {
  "augmentation_cost": augmentation_costs,
  "diffusion_step": diffusion_steps,
  "exposure": exposed,
  "sampling_budget": budgets,
  "token_sampling": token_sampling,
  "tokenizer_step": tokenizer_steps,
}


def block(name: str) -> str:
  """What stands between the marks of `name`."""
  if name in OTHERS:
    return OTHERS[name]()
  entry = TABLES[name]
  return entry.markdown() if isinstance(entry, OfExperiment) else table(name)


def filled(text: str) -> str:
  """The text with every table between its marks."""

  def fill(match: re.Match) -> str:
    mark = f"<!-- table: {match.group(1)} -->"
    return f"{mark}\n\n{block(match.group(1))}\n\n<!-- end -->"

  return re.sub(r"<!-- table: (\w+) -->.*?<!-- end -->", fill, text, flags=re.S)


def run(argv: Sequence[str]) -> int:
  """The command, which takes no arguments; returns the exit code."""
  command_line.parse(argv, flags.FlagValues())
  path = ROOT / "README.md"
  path.write_text(filled(path.read_text()))
  return 0


if __name__ == "__main__":
  sys.exit(command_line.exit_code(run, sys.argv[1:]))

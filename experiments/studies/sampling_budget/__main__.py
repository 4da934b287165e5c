"""The fewest network evaluations that a trained diffusion needs.

  python -m experiments.sampling_budget --workdir=RUN [--preset=small]

Samples a run with the full sampler (ancestral, all steps), and with fewer
steps, DDIM, DPM-Solver++ 2M and, for videos, fewer steps in later stages.
Draws the score against evaluations, and picks the smallest budget whose score
is within two standard errors, over the sampling seeds, of the full sampler's.
Then asks how few steps the last frame needs, given the full sampler's earlier
frames. Where the full sampler takes too long, --reference=250 stands in.

Nothing is trained. Writes results.json and report.html to --out, and in its
folder points/ every score as it is finished; one that is there is not measured
again.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from experiments.reporting import tables
from experiments.studies.sampling_budget import report as reports
from experiments.studies.sampling_budget import settings
from experiments.studies.sampling_budget import sweep as sweeps
from pseudovideo import errors, runs
from pseudovideo.evaluation import evaluate
from pseudovideo.files import writable
from pseudovideo.runs import results
from pseudovideo.terminal import command_line, run_flags

PAGE = "report.html"


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  run_flags.define(values)
  flags.DEFINE_string(
    "out",
    None,
    "Keep all results in this folder; WORKDIR/sampling_budget if absent.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "preset",
    "small",
    list(settings.PRESETS),
    "Sweep as many settings and samples as this size has.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "num_samples",
    None,
    "Score so many images per setting and seed; the preset's if absent.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "seeds",
    "0,1,2",
    "Sample with these seeds, two or more, commas between.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "reference",
    "",
    "Compare with the ancestral sampler of these steps, such as 250; all if "
    "absent.",
    flag_values=values,
  )
  return values


def parse_seeds(text: str) -> tuple[int, ...]:
  """Reads a text such as "0,1,2".

  Raises:
    UserError: fewer than two seeds, equal ones, or no number.
  """
  parts = [part.strip() for part in text.split(",")]
  seeds = [int(part) for part in parts if part.isdecimal()]
  good = len(seeds) == len(parts) and all(seed < 2**32 for seed in seeds)
  if not good or len(set(seeds)) != len(seeds) or len(seeds) < 2:
    raise errors.UserError(
      "--seeds must be two or more different numbers from 0 to 2**32 - 1, as "
      f"in --seeds=0,1,2; one alone has no standard error; got {text!r}."
    )
  return tuple(seeds)


def run(argv: Sequence[str]) -> int:
  """Measures the points that are missing; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values, "The config comes with the checkpoint")
  run_flags.workdir(values)
  preset = settings.PRESETS[values.preset]
  num = values.num_samples
  num = preset.num_samples if num is None else num
  if num < 2:
    raise errors.UserError(
      f"--num_samples must be at least 2 for scores; got {num}."
    )
  seeds = parse_seeds(values.seeds)
  command_line.set_up()
  restored = runs.restore(
    values.workdir, step=values.step, data_dir=values.data_dir
  )
  out = pathlib.Path(values.out or restored.workdir / "sampling_budget")
  sweep = sweeps.Sweep(
    restored,
    preset,
    reference=values.reference,
    seeds=seeds,
    num_samples=num,
    folder=out / "points",
  )
  writable.check(out / "results.json")
  sweep.measure()
  write(out, restored, sweep, seeds)
  return 0


def write(
  out: pathlib.Path,
  restored: runs.Run,
  sweep: sweeps.Sweep,
  seeds: Sequence[int],
) -> None:
  """Writes results.json and the page; prints the tables and answers."""
  summary = sweep.summary()
  record = reports.record(restored, summary, seeds)
  results.write(out / evaluate.RESULTS_FILE, record)
  grids = {
    f"Reference: {summary.reference.setting.label}": summary.reference,
    f"Smallest budget: {summary.chosen.setting.label}": summary.chosen,
  }
  grids = {text: sweep.samples(row.setting) for text, row in grids.items()}
  page = reports.write_page(out / PAGE, restored, summary, grids)
  for rows, full in (
    (summary.rows, summary.full),
    (summary.last, summary.steps),
  ):
    if rows:
      text = tables.as_text(*reports.table(summary, rows, full))
      print(f"\n{text}")
  print("", *summary.sentences(), reports.RULE, sep="\n")
  print(f"Scores are in {out / evaluate.RESULTS_FILE}, the report in {page}.")


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

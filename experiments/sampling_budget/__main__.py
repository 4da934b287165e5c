"""How few network evaluations a trained diffusion needs; no retraining.

  python -m experiments.sampling_budget --workdir=RUN [--preset=small]

Samples a run with the full sampler (ancestral, all steps), and with fewer
steps, DDIM, DPM-Solver++ 2M and, for videos, fewer steps in later stages.
Draws the score against evaluations, and picks the smallest budget whose score
is within two standard errors, over the sampling seeds, of the full sampler's.
Then asks how few steps the last frame needs, given the full sampler's earlier
frames. Where the full sampler takes too long, --reference=250 stands in.

Writes results.json and report.html to --out, and there, in points/, every
score as it is finished: what is there is not drawn again.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from experiments import tables
from experiments.sampling_budget import report as reports
from experiments.sampling_budget import settings as settings
from experiments.sampling_budget import sweep as sweeps
from pseudovideo import command_line, errors, evaluate, results, runs

PAGE = "report.html"


def define_flags() -> flags.FlagValues:
  """What can be said on the command line."""
  values = flags.FlagValues()
  flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
  flags.DEFINE_string(
    "out", None, "By default sampling_budget in --workdir.", flag_values=values
  )
  flags.DEFINE_enum(
    "preset",
    "small",
    list(settings.PRESETS),
    "How many settings and samples.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "num_samples",
    None,
    "Scored images per setting and seed; by default the preset's.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "seeds", "0,1,2", "Of the samples, two or more.", flag_values=values
  )
  flags.DEFINE_string(
    "reference",
    "",
    "Respacing of the ancestral sampler that others are compared with; by "
    "default all steps.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "step", None, "Checkpoint to use; the newest if absent.", flag_values=values
  )
  flags.DEFINE_string(
    "data_dir", None, "Where TFDS data sets are.", flag_values=values
  )
  return values


def parse_seeds(text: str) -> tuple[int, ...]:
  """ "0,1,2" as numbers.

  Raises:
    UserError: fewer than two, one given twice, or no number.
  """
  parts = [part.strip() for part in text.split(",")]
  seeds = [int(part) for part in parts if part.isdecimal()]
  good = len(seeds) == len(parts) and all(seed < 2**32 for seed in seeds)
  if not good or len(set(seeds)) != len(seeds) or len(seeds) < 2:
    raise errors.UserError(
      "--seeds must be two or more different numbers from 0 to 2**32 - 1, as "
      f"in --seeds=0,1,2: one has no standard error; got {text!r}."
    )
  return tuple(seeds)


def run(argv: Sequence[str]) -> int:
  """The sweep, or what is missing of it; returns the exit code."""
  values = define_flags()
  if command_line.parse(argv, values) is not None:
    raise errors.UserError(
      "The config comes with the checkpoint; leave --config away."
    )
  if not values.workdir:
    raise errors.UserError("Say which run to sample, with --workdir=DIR.")
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
  sweep.measure()
  write(out, restored, sweep, seeds)
  return 0


def write(
  out: pathlib.Path,
  restored: runs.Run,
  sweep: sweeps.Sweep,
  seeds: Sequence[int],
) -> None:
  """results.json, the page, and the tables and answers in the terminal."""
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

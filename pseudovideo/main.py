"""Command line: train, sample from and evaluate a run.

  python -m pseudovideo.main --mode=train --workdir=DIR \\
      --config=configs/hvae.py:dataset=digits [--config.train.steps=100 ...]
  python -m pseudovideo.main --mode=sample --workdir=DIR [--num_samples=100]
  python -m pseudovideo.main --mode=evaluate --workdir=DIR [--num_samples=1000]

The config travels in the checkpoint: going on, sampling and evaluation need
none, --config.FIELD=VALUE then changes the saved one, and what would make
another model is refused. A mistake in what was given ends with
one sentence and exit code 2, a run that cannot go on with exit code 1; a signal
saves and ends with 128 + its number.
"""

import sys
from collections.abc import Sequence

from absl import flags

from pseudovideo import errors
from pseudovideo.commands import saved
from pseudovideo.devices import distributed, xla
from pseudovideo.terminal import command_line, output, run_flags

MODES = ("train", "sample", "evaluate")
# Which modes read these flags; in the others they are a mistake.
READ_BY = {
  "step": ("sample", "evaluate"),
  "num_samples": ("sample", "evaluate"),
  "samples": ("evaluate",),
  **{name: ("train",) for name in distributed.FLAGS},
}


def define_flags() -> flags.FlagValues:
  """The flags, apart from --config."""
  values = flags.FlagValues()
  flags.DEFINE_enum(
    "mode",
    "train",
    MODES,
    "Train, sample from or evaluate the run.",
    flag_values=values,
  )
  run_flags.define(values)
  flags.DEFINE_integer(
    "num_samples",
    None,
    "Draw or score so many images; evaluate.num_samples if absent.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "samples",
    None,
    "Score the images of this npz file instead of drawing new ones.",
    flag_values=values,
  )
  flags.DEFINE_bool(
    "deterministic",
    False,
    "Give the same bits every time on a GPU too, at some cost in speed.",
    flag_values=values,
  )
  distributed.define_flags(values)
  return values


def run(argv: Sequence[str]) -> int:
  """Does what the arguments say; returns the exit code."""
  values = define_flags()
  config = command_line.parse(argv, values, lambda: saved.config(values))
  run_flags.workdir(values)
  for name, modes in READ_BY.items():
    if values[name].present and values.mode not in modes:
      raise errors.UserError(
        f"--{name} is for --mode={' and --mode='.join(modes)}; leave it out "
        f"with --mode={values.mode}."
      )
  command_line.set_up()
  if values.deterministic:
    xla.make_deterministic()
  distributed.start(values)
  # Imported late, so that a mistake in the arguments is answered at once.
  from pseudovideo import runs
  from pseudovideo.evaluation import evaluate
  from pseudovideo.training import loop

  if values.mode == "train":
    if config is None:
      config = runs.saved_config(values.workdir)
    outcome = loop.train(config, values.workdir, data_dir=values.data_dir)
    if outcome.stopped_by is not None:
      print(command_line.stop_sentence(outcome))
      return 128 + outcome.stopped_by
    print(f"Trained {outcome.step} steps; the run is in {values.workdir}.")
    return 0
  restored = runs.restore(
    values.workdir,
    step=values.step,
    data_dir=values.data_dir,
    config=config,
  )
  if values.mode == "sample":
    print(evaluate.sample(restored, num_samples=values.num_samples))
  else:
    evaluate.evaluate(
      restored, num_samples=values.num_samples, samples=values.samples
    )
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  with output.forgiving():
    return distributed.exit_code(
      lambda: command_line.answer(run, argv, __doc__, define_flags())
    )


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

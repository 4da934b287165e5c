"""Bits per dimension of held-out images under a run that bounds them.

  python -m pseudovideo.likelihood --workdir=DIR [--num_images=1000] [--step=N]

Prints the variational bound L_vlb (Nichol & Dhariwal 2021, Sec. 3) over all
trained steps, under the averaged weights, and writes it with where it comes
from to bits_per_dim.json in the workdir. Without --num_images it takes all
held-out images; every image costs as many network evaluations as the process
has steps. How the run samples does not matter.
"""

import sys
import time
from collections.abc import Sequence

from absl import flags

from pseudovideo.commands import saved
from pseudovideo.files import writable
from pseudovideo.terminal import command_line, run_flags


def define_flags() -> flags.FlagValues:
  """The flags, apart from --config."""
  values = flags.FlagValues()
  run_flags.define(values)
  flags.DEFINE_integer(
    "num_images",
    None,
    "Take so many held-out images; all if absent.",
    flag_values=values,
  )
  return values


def run(argv: Sequence[str]) -> int:
  """Does what the arguments say; returns the exit code."""
  values = define_flags()
  config = command_line.parse(argv, values, lambda: saved.config(values))
  run_flags.workdir(values)
  command_line.set_up()
  # Imported late, so that a mistake in the arguments is answered at once.
  from pseudovideo import runs
  from pseudovideo.evaluation import bits_per_dim
  from pseudovideo.runs import results

  bits_per_dim.check(runs.saved_config(values.workdir))
  restored = runs.restore(
    values.workdir, step=values.step, data_dir=values.data_dir, config=config
  )
  writable.check(restored.workdir / bits_per_dim.FILE)
  begin = time.monotonic()
  bits = bits_per_dim.compute(restored, values.num_images)
  written = bits_per_dim.record(restored, bits, time.monotonic() - begin)
  results.write(restored.workdir / bits_per_dim.FILE, written)
  for name, metric in written["metrics"]["held_out"].items():
    print(
      f"{name:<14}{metric['value']:>9.4f} +- {metric['standard_error']:.4f}"
    )
  print(
    f"Means and standard errors over {len(bits['prior'])} held-out images at "
    f"step {restored.step} are in {restored.workdir / bits_per_dim.FILE}."
  )
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

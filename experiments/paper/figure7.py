"""Figure 7: images of the 4-frame high-order model.

  python -m experiments run figure7 --preset=small --dataset=digits
  python -m experiments report figure7 --preset=small --dataset=digits

`run` trains and samples the row `high_order_4` of Table 3 if that is not done,
and draws the first samples of its evaluation, none picked, as
ROOT/DATASET-PRESET/figure7.png; `report` draws them again from samples.npz. The
paper shows CIFAR-10 and CelebA, --dataset=cifar10 and celeb_a.
"""

import dataclasses
from collections.abc import Sequence

from experiments.rows import diffusion
from experiments.rows.base import Table
from experiments.running import commands
from pseudovideo.report import drawing
from pseudovideo.runs import sample_files

SHOWN = 64
TABLE = Table(
  "figure7",
  "Figure 7: images of the 4-frame high-order model",
  diffusion.FAMILY,
  (dataclasses.replace(diffusion.HIGH_ORDER_4, seeds={}),),
)


def draw(values: commands.Values) -> int:
  """Writes the picture and prints where it is; returns the exit code.

  Raises:
    UserError: the model was not sampled yet.
  """
  job = commands.chosen_jobs(TABLE, values)[0]
  commands.require_samples([job], values.root)
  drawn = sample_files.load(job.workdir(values.root) / sample_files.NAME)
  path = job.folder(values.root) / "figure7.png"
  drawing.save_png(path, drawing.grid(drawn.images[:SHOWN]))
  print(path)
  return 0


def run(values: commands.Values) -> int:
  """Trains and samples what is missing, and draws; returns the exit code."""
  return commands.run_figure(TABLE, values, lambda: draw(values))


COMMANDS = {
  "run": commands.Command(commands.RUN_FLAGS, run),
  "report": commands.Command(commands.WHICH_RUNS, draw),
}


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.main(COMMANDS, __doc__, argv)

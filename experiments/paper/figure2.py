"""Figure 2: digits of both HVAEs side by side, and how they come about.

  python -m experiments run figure2 --preset=small --dataset=mnist
  python -m experiments report figure2 --preset=small --dataset=mnist

`run` trains and samples the first two rows of Table 1 if they are not done, and
draws ROOT/DATASET-PRESET/figure2.png: samples of the heat-equation encoder, of
the learnable encoder, and held-out images, the first of each, none picked;
below, generated videos of the heat HVAE, from blur to digit. `report` draws it
again.
"""

from collections.abc import Sequence

import numpy as np

from experiments.rows import hvae
from experiments.rows.base import Job, Table
from experiments.running import commands
from pseudovideo import data, pixels
from pseudovideo.report import composing, drawing
from pseudovideo.runs import sample_files

SHOWN = 64
STRIPS = 4
TABLE = Table(
  "figure2",
  "Figure 2: digits of both HVAEs",
  hvae.FAMILY,
  (hvae.HEAT, hvae.LEARNED),
  score="IS",
  fallback_dataset="mnist",
)


def picture(
  jobs: Sequence[Job], root: str, data_dir: str | None = None
) -> np.ndarray:
  """Grids side by side and a film strip below, (H', W', 3) uint8.

  Args:
    jobs: the runs of the heat HVAE and of the other, on the same data.
    root: folder of all runs.
    data_dir: folder of TFDS data sets.
  """
  heat, learned = (
    sample_files.load(job.workdir(root) / sample_files.NAME) for job in jobs
  )
  config = jobs[0].config.data
  held_out = pixels.fixed_binarization(
    data.load(config.name, data_dir=data_dir).test_images,
    config.binarize,
    "test",
  )
  shown = (
    heat.images[:SHOWN],
    learned.images[:SHOWN],
    data.spread(held_out, SHOWN),
  )
  return composing.poster(
    [drawing.grid(frames) for frames in shown],
    drawing.film_strip(heat.videos[:STRIPS]),
  )


def draw(values: commands.Values) -> int:
  """Writes the picture and prints where it is; returns the exit code.

  Raises:
    UserError: a model was not sampled yet.
  """
  jobs = commands.chosen_jobs(TABLE, values)
  commands.require_samples(jobs, values.root)
  path = jobs[0].folder(values.root) / "figure2.png"
  drawing.save_png(path, picture(jobs, values.root, values.data_dir))
  print(path)
  return 0


def run(values: commands.Values) -> int:
  """Trains and samples what is missing, and draws; returns the exit code."""
  return commands.run_figure(TABLE, values, lambda: draw(values))


FLAGS = ("preset", "dataset", "root", "data_dir")
COMMANDS = {
  "run": commands.Command((*FLAGS, "rows", "seeds", "dry-run", "publish"), run),
  "report": commands.Command((*FLAGS, "rows", "seeds"), draw),
}


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.main(COMMANDS, __doc__, argv)

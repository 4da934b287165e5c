"""Figure 4: CIFAR-10 images and their reconstructions by 1, 8 and 18 frames.

  python -m experiments run figure4 --preset=small --dataset=cifar10
  python -m experiments report figure4 --preset=small --dataset=cifar10

`run` trains the paper's rows of Table 2 and reconstructs, if that is not done,
and draws ROOT/DATASET-PRESET/figure4_RECIPE.png: held-out images at even
distances, and beside them what each model makes of the same images.
--recipe=recommended takes the same rows with that recipe. --rows=NAMES takes
any rows of Table 2 instead, into figure4_rows.png. `report` draws it again from
samples.npz. Any other data set may be given as well.
"""

from collections.abc import Sequence

import numpy as np

from experiments.rows import tokenizer
from experiments.rows.base import Job, Table
from experiments.running import commands
from pseudovideo import data, errors
from pseudovideo.report import composing, drawing
from pseudovideo.runs import sample_files

SHOWN = 36
RECIPES = {
  "as_published": tokenizer.PUBLISHED,
  "recommended": tokenizer.RECOMMENDED,
}


def table(
  figure: str, recipe: str, names: Sequence[str] | None = None
) -> Table:
  """The rows of a figure.

  Args:
    figure: `figure4` or `figure5`.
    recipe: a key of `RECIPES`.
    names: names of rows of Table 2 that are shown instead of the recipe's.

  Raises:
    UserError: there is no such recipe.
  """
  rows = errors.look_up("recipe", recipe, RECIPES)
  rows = tokenizer.ROWS if names else rows
  title = f"{figure.capitalize()}: images and their reconstructions"
  return Table(figure, title, tokenizer.FAMILY, rows)


def picture(
  jobs: Sequence[Job], root: str, data_dir: str | None = None
) -> np.ndarray:
  """Grids side by side, the held-out images first; (H', W', 3) uint8.

  Args:
    jobs: finished runs on the same data.
    root: folder of all runs.
    data_dir: folder of TFDS data sets.
  """
  drawn = {
    job.title: sample_files.load(job.workdir(root) / sample_files.NAME).images
    for job in jobs
  }
  held_out = data.load(jobs[0].dataset, data_dir=data_dir).test_images
  # Samples of autoencoders are in the order of `evaluate.originals`.
  truth = data.spread(held_out, len(drawn[jobs[0].title]))
  shown = {"held-out images": truth, **drawn}
  return composing.captioned(
    {
      # At even distances again: data sets come class by class.
      label: drawing.grid(data.spread(frames, SHOWN))
      for label, frames in shown.items()
    }
  )


def draw(figure: str, values: commands.Values) -> int:
  """Writes the picture and prints where it is; returns the exit code.

  Raises:
    UserError: a model has not reconstructed images yet.
  """
  jobs = commands.chosen_jobs(table(figure, values.recipe, values.rows), values)
  commands.require_samples(jobs, values.root)
  name = f"{figure}_{'rows' if values.rows else values.recipe}.png"
  path = jobs[0].folder(values.root) / name
  drawing.save_png(path, picture(jobs, values.root, values.data_dir))
  print(path)
  return 0


def run(figure: str, values: commands.Values) -> int:
  """Trains and samples what is missing, and draws; returns the exit code."""
  rows = table(figure, values.recipe, values.rows)
  return commands.run_figure(rows, values, lambda: draw(figure, values))


def main(
  argv: Sequence[str], figure: str = "figure4", doc: str = __doc__
) -> int:
  """The command; returns the exit code.

  Args:
    argv: arguments, without the program.
    figure: name of the figure, `figure4` or `figure5`.
    doc: text that --help prints above the flags.
  """
  verbs = {
    "run": commands.Command(
      (*commands.RUN_FLAGS, "recipe"), lambda values: run(figure, values)
    ),
    "report": commands.Command(
      (*commands.WHICH_RUNS, "data_dir", "recipe"),
      lambda values: draw(figure, values),
    ),
  }
  return commands.main(verbs, doc, argv)

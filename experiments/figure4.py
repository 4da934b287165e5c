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

import textwrap
from collections.abc import Sequence

import numpy as np

from experiments import commands, work
from experiments import tokenizer_rows as of
from experiments.rows import Job, Table
from pseudovideo import data, errors, images, sample_files

SHOWN = 36
FONT_SIZE, GAP, IN_A_ROW = 14, 24, 4
RECIPES = {"as_published": of.PUBLISHED, "recommended": of.RECOMMENDED}


def table(
  figure: str, recipe: str, names: Sequence[str] | None = None
) -> Table:
  """The rows of a figure.

  Args:
    figure: `figure4` or `figure5`.
    recipe: of `RECIPES`.
    names: of any rows that are to be shown instead of the recipe's.

  Raises:
    UserError: there is no such recipe.
  """
  rows = errors.look_up("recipe", recipe, RECIPES)
  rows = of.ROWS if names else rows
  title = f"{figure.capitalize()}: images and their reconstructions"
  return Table(figure, title, of.FAMILY, rows)


def picture(
  jobs: Sequence[Job], root: str, data_dir: str | None = None
) -> np.ndarray:
  """Grids side by side, the held-out images first; (H', W', 3) uint8.

  Args:
    jobs: that are done, with the same data.
    root: folder of all runs.
    data_dir: where TFDS sets are.
  """
  drawn = {
    job.title: sample_files.load(job.workdir(root) / sample_files.NAME).images
    for job in jobs
  }
  held_out = data.load(jobs[0].dataset, data_dir=data_dir).test_images
  # Samples of autoencoders are in the order of `evaluate.originals`.
  truth = data.spread(held_out, len(drawn[jobs[0].title]))
  shown = {"held-out images": truth, **drawn}
  return captioned(
    {
      # At even distances again: data sets come class by class.
      label: images.grid(data.spread(frames, SHOWN))
      for label, frames in shown.items()
    }
  )


def captioned(grids: dict[str, np.ndarray]) -> np.ndarray:
  """Pictures on white, `IN_A_ROW` side by side, each below its label.

  Args:
    grids: label -> (H, W, 3) uint8.
  """
  items = list(grids.items())
  rows = [
    _row(dict(items[i : i + IN_A_ROW])) for i in range(0, len(items), IN_A_ROW)
  ]
  width = max(row.shape[1] for row in rows)
  return np.concatenate(
    [
      np.pad(
        row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255
      )
      for row in rows
    ]
  )


def _row(grids: dict[str, np.ndarray]) -> np.ndarray:
  from PIL import Image, ImageDraw, ImageFont

  width = GAP + sum(grid.shape[1] + GAP for grid in grids.values())
  font = ImageFont.load_default(FONT_SIZE)
  labels = {
    label: textwrap.fill(label, int(grid.shape[1] / FONT_SIZE * 1.9))
    for label, grid in grids.items()
  }
  lines = max(label.count("\n") for label in labels.values())
  top = 2 * GAP + lines * (FONT_SIZE + 4)
  height = top + max(grid.shape[0] for grid in grids.values())
  canvas = Image.new("RGB", (width, height + GAP), (255, 255, 255))
  draw, left = ImageDraw.Draw(canvas), GAP
  for label, grid in grids.items():
    draw.text((left, GAP), labels[label], (0, 0, 0), font)
    canvas.paste(Image.fromarray(grid), (left, top))
    left += grid.shape[1] + GAP
  return np.asarray(canvas)


def draw(figure: str, values: commands.Values) -> int:
  """Writes the picture and prints where it is; returns the exit code.

  Raises:
    UserError: a model has not reconstructed images yet.
  """
  jobs = commands.chosen_jobs(table(figure, values.recipe, values.rows), values)
  for job in jobs:
    if work.results_of(job, values.root) is None:
      raise errors.UserError(
        f"There are no samples in {job.workdir(values.root)} yet; run the "
        "figure instead of reporting it."
      )
  name = f"{figure}_{'rows' if values.rows else values.recipe}.png"
  path = jobs[0].folder(values.root) / name
  images.save_png(path, picture(jobs, values.root, values.data_dir))
  print(path)
  return 0


def run(figure: str, values: commands.Values) -> int:
  """Trains and samples what is missing, and draws; returns the exit code."""
  code = commands.run_table(table(figure, values.recipe, values.rows), values)
  return code if code or values["dry-run"].value else draw(figure, values)


def main(
  argv: Sequence[str], figure: str = "figure4", doc: str = __doc__
) -> int:
  """The command; returns the exit code.

  Args:
    argv: without the program.
    figure: its name.
    doc: what --help prints above the flags.
  """
  found = {
    "run": commands.Command(
      (*commands.RUN_FLAGS, "recipe"), lambda values: run(figure, values)
    ),
    "report": commands.Command(
      (*commands.OF_RUNS, "data_dir", "recipe"),
      lambda values: draw(figure, values),
    ),
  }
  return commands.main(found, doc, argv)

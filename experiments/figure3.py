"""Figure 3: pseudo videos of blur, as the tokenizer of 8 frames sees them.

  python -m experiments.figure3 run --dataset=cifar10
  python -m experiments.figure3 report --dataset=cifar10

`run` draws ROOT/figures/figure3_DATASET.png: one film strip for each of four
training images, time from left to right, the image in the last column, marked.
Nothing is trained. `report` says where the picture is.
"""

import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np

from experiments import commands, show_augmentations
from pseudovideo import augmentations, command_line, data, errors, images

FRAMES = 8
SHOWN = 4


def picture(dataset: str, data_dir: str | None = None) -> np.ndarray:
  """Film strips of training images at even distances, (H', W', 3) uint8.

  Args:
    dataset: a name of `pseudovideo.data.load`.
    data_dir: where TFDS sets are.
  """
  everything = data.load(dataset, data_dir=data_dir).train_images
  return show_augmentations.strip(
    augmentations.make("blur", frames=FRAMES),
    data.spread(everything, SHOWN),
    jax.random.key(0),
  )


def path(values: commands.Values) -> pathlib.Path:
  """Of the picture."""
  name = values.dataset.partition(":")[0]
  return pathlib.Path(values.root, "figures", f"figure3_{name}.png")


def run(values: commands.Values) -> int:
  """Draws and writes the picture; returns the exit code."""
  command_line.set_up()
  images.save_png(
    path(values), picture(values.dataset, data_dir=values.data_dir)
  )
  return report(values)


def report(values: commands.Values) -> int:
  """Prints where the picture is; returns the exit code.

  Raises:
    UserError: it was not drawn yet.
  """
  if not path(values).exists():
    raise errors.UserError(
      f"There is no {path(values)} yet; draw it with run instead of report."
    )
  print(path(values))
  return 0


COMMANDS = {
  "run": commands.Command(("dataset", "root", "data_dir"), run),
  "report": commands.Command(("dataset", "root"), report),
}


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.main(COMMANDS, __doc__, argv)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

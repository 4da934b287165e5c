"""Figure 6: an image's pseudo video by first- and by high-order noise.

  python -m experiments.figure6 run --dataset=cifar10
  python -m experiments.figure6 report --dataset=cifar10

`run` draws ROOT/figures/figure6_DATASET.png from a training image: first order
at the top, high order at the bottom, the image in the last column, marked. Both
have the same noise and the betas of Sec. 4.2. `report` says where the picture
is. Noise beyond the range of pixel values is clipped, in the picture only.
"""

import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np

from experiments import commands, show_augmentations
from pseudovideo import augmentations, command_line, data, errors, images

FRAMES = 8
ROWS = {"first order": "first_order", "high order": "high_order"}


def picture(
  dataset: str, seed: int = 0, data_dir: str | None = None
) -> np.ndarray:
  """Both film strips of one training image, (H', W', 3) uint8.

  Args:
    dataset: a name of `pseudovideo.data.load`.
    seed: of the choice of the image and of the noise.
    data_dir: where TFDS sets are.
  """
  everything = data.load(dataset, data_dir=data_dir).train_images
  index = np.random.default_rng(seed).integers(len(everything))
  image, key = np.asarray(everything[index])[None], jax.random.key(seed)
  return show_augmentations.labelled(
    {
      label: show_augmentations.strip(
        augmentations.make(name, frames=FRAMES), image, key
      )
      for label, name in ROWS.items()
    }
  )


def path(values: commands.Values) -> pathlib.Path:
  """Of the picture."""
  name = values.dataset.partition(":")[0]
  return pathlib.Path(values.root, "figures", f"figure6_{name}.png")


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

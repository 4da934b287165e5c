"""A picture of every augmentation, applied to images of a data set.

  python -m experiments.show_augmentations --dataset=cifar10 --out=DIR

Writes DIR/augmentations_cifar10.png: one film strip per augmentation and
image, time from left to right, all images in the last column, marked. Noise
beyond the range of pixel values is clipped, in the picture only.
"""

import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np
from absl import flags

from experiments.reporting import pictures
from pseudovideo import augmentations, data, errors, keys
from pseudovideo.report import composing, drawing
from pseudovideo.terminal import command_line, run_flags


def variants(side: int) -> dict[str, augmentations.Augmentation]:
  """All augmentations by label, the paper's longer blur among them.

  Args:
    side: the shorter side of the images, in pixels; the heat equation runs
      until a blur of three quarters of it, as the 24 pixels of Rissanen et al.
      for 32.
  """
  fields = {"heat": {"sigma_max": 0.75 * side}}
  shown = {
    name: augmentations.make(name, **fields.get(name, {}))
    for name in augmentations.TABLE
  }
  shown["blur, 18 frames"] = augmentations.make("blur", frames=18)
  return shown


def picture(
  dataset: str, num: int, seed: int, data_dir: str | None = None
) -> np.ndarray:
  """A strip for every variant of `num` training images, (H', W', 3) uint8.

  Args:
    dataset: a name of `pseudovideo.data.load`.
    num: number of images.
    seed: seed of their choice, and of the noise.
    data_dir: folder of TFDS data sets.

  Raises:
    UserError: no such data set, or fewer images in it.
  """
  everything = data.load(dataset, data_dir=data_dir).train_images
  if not 1 <= num <= len(everything):
    raise errors.UserError(
      f"--num={num} images cannot be drawn from {dataset!r}, which has "
      f"{len(everything)} to train on; give a number from 1 to that."
    )
  rng = np.random.default_rng(seed)
  chosen = everything[np.sort(rng.permutation(len(everything))[:num])]
  key = jax.random.key(seed)
  return composing.labelled(
    {
      label: pictures.pseudo_videos(
        augmentation, chosen, keys.named(key, label)
      )
      for label, augmentation in variants(min(chosen.shape[1:3])).items()
    }
  )


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  flags.DEFINE_string(
    "dataset",
    "digits",
    "Show images of this data set, such as cifar10.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "out", None, "Write the picture to this folder.", flag_values=values
  )
  flags.DEFINE_integer("num", 4, "Show so many images.", flag_values=values)
  flags.DEFINE_integer(
    "seed", 0, "Draw images and noise from this seed.", flag_values=values
  )
  run_flags.define_data_dir(values)
  return values


def run(argv: Sequence[str]) -> int:
  """Draws and writes the picture; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values)
  if not values.out:
    raise errors.UserError("Say where the picture is to go, with --out=DIR.")
  if values.seed < 0:
    raise errors.UserError(f"--seed must be at least 0; got {values.seed}.")
  command_line.set_up()
  result = picture(values.dataset, values.num, values.seed, values.data_dir)
  name = values.dataset.partition(":")[0]
  path = pathlib.Path(values.out, f"augmentations_{name}.png")
  drawing.save_png(path, result)
  print(path)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

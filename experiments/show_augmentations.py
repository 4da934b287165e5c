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

from pseudovideo import (
  augmentations,
  command_line,
  data,
  errors,
  images,
  keys,
  pixels,
)

RANGE = (-1.0, 1.0)
BACKGROUND = (255, 255, 255)
LABEL_WIDTH, FONT_SIZE = 150, 14


def variants(side: int) -> dict[str, augmentations.Augmentation]:
  """What is shown, by label: the whole table, and the paper's longer blur.

  Args:
    side: of the images, in pixels; the heat equation runs until a blur of
      three quarters of it, as the 24 pixels of Rissanen et al. for 32.
  """
  fields = {"heat": {"sigma_max": 0.75 * side}}
  shown = {
    name: augmentations.make(name, **fields.get(name, {}))
    for name in augmentations.TABLE
  }
  shown["blur, 18 frames"] = augmentations.make("blur", frames=18)
  return shown


def strip(
  augmentation: augmentations.Augmentation,
  pictures: np.ndarray,
  key: jax.Array,
) -> np.ndarray:
  """The film strip of some images; (N, H, W, C) uint8 -> (H', W', 3) uint8."""
  floats = pixels.to_float(jax.numpy.asarray(pictures), RANGE)
  video = jax.jit(augmentation)(floats, key=key)
  return images.film_strip(np.asarray(pixels.to_uint8(video, RANGE)))


def labelled(strips: dict[str, np.ndarray]) -> np.ndarray:
  """Strips below one another, flush right, each with its label at the left."""
  from PIL import Image, ImageDraw, ImageFont

  gap = FONT_SIZE
  width = LABEL_WIDTH + max(s.shape[1] for s in strips.values()) + gap
  height = gap + sum(s.shape[0] + gap for s in strips.values())
  canvas = Image.new("RGB", (width, height), BACKGROUND)
  draw = ImageDraw.Draw(canvas)
  font = ImageFont.load_default(FONT_SIZE)
  top = gap
  for label, picture in strips.items():
    high, wide, _ = picture.shape
    left = width - gap - wide
    draw.text((left - gap, top), label, (0, 0, 0), font, anchor="ra")
    canvas.paste(Image.fromarray(picture), (left, top))
    top += high + gap
  return np.asarray(canvas)


def picture(
  dataset: str, num: int, seed: int, data_dir: str | None = None
) -> np.ndarray:
  """All variants of `num` training images; returns (H', W', 3) uint8.

  Args:
    dataset: a name of `pseudovideo.data.load`.
    num: how many images.
    seed: of their choice and of the noise.
    data_dir: where TFDS sets are.

  Raises:
    UserError: no such data set, or not that many images in it.
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
  return labelled(
    {
      label: strip(augmentation, chosen, keys.named(key, label))
      for label, augmentation in variants(min(chosen.shape[1:3])).items()
    }
  )


def define_flags() -> flags.FlagValues:
  """What can be said on the command line."""
  values = flags.FlagValues()
  flags.DEFINE_string(
    "dataset", "digits", "A name of pseudovideo.data.load.", flag_values=values
  )
  flags.DEFINE_string("out", None, "Folder of the picture.", flag_values=values)
  flags.DEFINE_integer("num", 4, "Number of images.", flag_values=values)
  flags.DEFINE_integer(
    "seed", 0, "Of the choice of images and of the noise.", flag_values=values
  )
  flags.DEFINE_string(
    "data_dir", None, "Where TFDS data sets are.", flag_values=values
  )
  return values


def run(argv: Sequence[str]) -> int:
  """Draws and writes the picture; returns the exit code."""
  values = define_flags()
  if command_line.parse(argv, values) is not None:
    raise errors.UserError("This command takes no config; leave --config away.")
  if not values.out:
    raise errors.UserError("Say where the picture is to go, with --out=DIR.")
  if values.seed < 0:
    raise errors.UserError(f"--seed must be at least 0; got {values.seed}.")
  command_line.set_up()
  result = picture(values.dataset, values.num, values.seed, values.data_dir)
  name = values.dataset.partition(":")[0]
  path = pathlib.Path(values.out, f"augmentations_{name}.png")
  images.save_png(path, result)
  print(path)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

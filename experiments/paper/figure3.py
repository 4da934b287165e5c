"""Figure 3: pseudo videos of blur, as the tokenizer of 8 frames sees them.

  python -m experiments run figure3 --dataset=cifar10
  python -m experiments report figure3 --dataset=cifar10

`run` draws ROOT/figures/figure3_DATASET.png: one film strip for each of four
training images, time from left to right, the image in the last column, marked.
Nothing is trained. `report` says where the picture is.
"""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.paper import untrained_figure
from experiments.reporting import pictures
from pseudovideo import augmentations, data

FRAMES = 8
SHOWN = 4


def picture(dataset: str, data_dir: str | None = None) -> np.ndarray:
  """Film strips of training images at even distances, (H', W', 3) uint8.

  Args:
    dataset: a name of `pseudovideo.data.load`.
    data_dir: folder of TFDS data sets.
  """
  everything = data.load(dataset, data_dir=data_dir).train_images
  return pictures.pseudo_videos(
    augmentations.make("blur", frames=FRAMES),
    data.spread(everything, SHOWN),
    jax.random.key(0),
  )


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return untrained_figure.main("figure3", picture, __doc__, argv)

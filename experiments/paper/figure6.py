"""Figure 6: an image's pseudo video by first- and by high-order noise.

  python -m experiments run figure6 --dataset=cifar10
  python -m experiments report figure6 --dataset=cifar10

`run` draws ROOT/figures/figure6_DATASET.png from a training image: first order
at the top, high order at the bottom, the image in the last column, marked. Both
have the same noise and the betas of Sec. 4.2. `report` says where the picture
is. Noise beyond the range of pixel values is clipped, in the picture only.
"""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.paper import untrained_figure
from experiments.reporting import pictures
from pseudovideo import augmentations, data
from pseudovideo.report import composing

FRAMES = 8
ROWS = {"first order": "first_order", "high order": "high_order"}


def picture(
  dataset: str, seed: int = 0, data_dir: str | None = None
) -> np.ndarray:
  """Both film strips of one training image, (H', W', 3) uint8.

  Args:
    dataset: a name of `pseudovideo.data.load`.
    seed: seed of the choice of the image, and of the noise.
    data_dir: folder of TFDS data sets.
  """
  everything = data.load(dataset, data_dir=data_dir).train_images
  index = np.random.default_rng(seed).integers(len(everything))
  image, key = np.asarray(everything[index])[None], jax.random.key(seed)
  return composing.labelled(
    {
      label: pictures.pseudo_videos(
        augmentations.make(name, frames=FRAMES), image, key
      )
      for label, name in ROWS.items()
    }
  )


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return untrained_figure.main("figure6", picture, __doc__, argv)

"""Scores generated images, and held-out ones in the same way beside them."""

from collections.abc import Sequence

import numpy as np

from pseudovideo import errors, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.metrics import (
  compare,
  precision_recall,
  set_metrics,
  sources,
)
from pseudovideo.pretrained import features

Record = set_metrics.Record


def score(
  generated: np.ndarray,
  image_set: ImageSet,
  networks: Sequence[features.FeatureNetwork],
  *,
  num_samples: int,
  seed: int = 0,
  binarize: str = "none",
  kinds: Sequence[str] = set_metrics.DEFAULT,
) -> dict[str, dict[str, Record]]:
  """Every metric of the generated images and of the held-out ones.

  The reference of distances is the training split. The held-out row uses as
  many images as the generated one if the split has so many, drawn with `seed`,
  because a Frechet distance falls with the number of samples. What a network
  sees of the data set is kept on disk (`summary.reference`).

  Where the data were binarized, generated images are compared after a
  threshold at half grey, whichever way the data were drawn: samplers return
  grey means, which are far from every binarized image.

  Args:
    generated: (N, H, W, C) uint8; the first `num_samples` are scored.
    image_set: the data that the generator was trained on.
    networks: feature networks, such as `get_feature_network(image_set)`; an
      empty list leaves only the distance to the nearest training image.
    num_samples: number to score, 2 .. N.
    seed: seed of the subsets and splits, 0 or more.
    binarize: one of `pixels.BINARIZE`, the same for the data and the networks.
    kinds: names out of `set_metrics.METRICS`.

  Returns:
    `{"generated": records, "real": records}`, records by metric name; each
    holds the value and all that is needed to quote it.

  Raises:
    ValueError: a network was trained on data binarized in another way.
    UserError: `num_samples` below 2 or above N, images of another shape, fewer
      than two held-out images, or too few for a metric.
  """
  if num_samples > len(generated):
    raise errors.UserError(
      f"{num_samples} samples were to be scored but only {len(generated)} "
      "were generated; generate more or lower num_samples."
    )
  check(generated.shape[1:], image_set, num_samples, kinds if networks else ())
  _check_networks(networks, binarize)
  own = "none" if binarize == "none" else "threshold"
  samples = generated[:num_samples]
  if own != "none":
    samples = np.asarray(pixels.binarize(samples, own))
  training, held_out = (
    sources.of_split(image_set, split, binarize) for split in sources.SPLITS
  )
  held_out = held_out.chosen(min(num_samples, held_out.num), seed)
  scores: dict[str, dict[str, Record]] = {}
  for row, scored, how in (
    ("generated", sources.of_array(samples, "samples"), own),
    ("real", held_out, binarize),
  ):
    found: dict[str, Record] = {}
    for network in networks:
      found |= compare.sets(
        scored,
        training,
        network,
        kinds,
        split="train",
        seed=seed,
        keep_scored=scored is held_out,
      )
    found["nearest-train"] = _nearest(
      np.concatenate([*scored.blocks()]),
      pixels.fixed_binarization(image_set.train_images, binarize, "train"),
    )
    scores[row] = {n: {**found[n], "binarize": how} for n in found}
  return scores


def check(
  shape: Sequence[int],
  image_set: ImageSet,
  num_samples: int,
  kinds: Sequence[str] = (),
) -> None:
  """Refuses what `score` would refuse, before anything is generated.

  Args:
    shape: (H, W, C) of the generated images.
    image_set: see `score`.
    num_samples: see `score`.
    kinds: see `score`; empty if there is no network.

  Raises:
    UserError: see `score`, or a metric needs more images.
  """
  held_out = len(image_set.test_images)
  if num_samples < 2 or held_out < 2:
    raise errors.UserError(
      f"{num_samples} samples cannot be scored beside {held_out} held-out "
      "images; both must be at least 2."
    )
  for num, what in (
    (num_samples, "samples"),
    (held_out, "held-out images"),
    (len(image_set.train_images), "training images"),
  ):
    set_metrics.check_number(kinds, num, what)
  if tuple(shape) != tuple(image_set.image_shape):
    raise errors.UserError(
      f"The generated images are {tuple(shape)} and the images of "
      f"{image_set.name!r} are {tuple(image_set.image_shape)}; score them "
      "against the data set that the model was trained on."
    )


def _check_networks(
  networks: Sequence[features.FeatureNetwork], binarize: str
) -> None:
  for network in networks:
    if network.binarize != binarize:
      raise ValueError(
        f"The network {network.name} is for binarize={network.binarize!r}, "
        f"not {binarize!r}."
      )


def _nearest(images: np.ndarray, training: np.ndarray) -> Record:
  """The record of the distances to the nearest training image."""
  distances = precision_recall.nearest_distances(images, training)
  return {
    "name": "nearest-train",
    "value": float(distances.mean()),
    "std": float(distances.std()),
    "better": "as real",
    "definition": (
      "Mean and standard deviation of the Euclidean distance over all pixels, "
      "in [0, 1], to the nearest training image; far below that of held-out "
      "images it shows copying."
    ),
    "num_samples": len(images),
    "reference_split": "train",
    "reference_size": len(training),
    "value_range": [0.0, 1.0],
    "resize": "none",
  }

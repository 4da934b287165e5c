"""Scores generated images, and held-out ones in the same way beside them."""

from collections.abc import Sequence

import numpy as np

from pseudovideo import errors, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.metrics import (
  drawn,
  features,
  neighbours,
  set_metrics,
  sources,
  summary,
)

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
  grey means, which no binarized image is near.

  Args:
    generated: (N, H, W, C) uint8; the first `num_samples` are scored.
    image_set: the data that the generator was trained on.
    networks: to look through, such as `get_feature_network(image_set)`; none
      leaves only the distance to the nearest training image.
    num_samples: how many to score, 2 .. N.
    seed: of the subsets and splits.
    binarize: how the data were binarized, as for the networks.
    kinds: of `set_metrics.METRICS`.

  Returns:
    `{"generated": records, "real": records}`, records by metric name; each
    holds the value and all that is needed to quote it.

  Raises:
    ValueError: a network was trained on data binarized in another way.
    UserError: `num_samples` below 2 or above N, images of another shape, or
      fewer than two held-out images.
  """
  _check(generated, image_set, num_samples)
  for network in networks:
    if network.binarize != binarize:
      raise ValueError(
        f"The network {network.name} is for binarize={network.binarize!r}, "
        f"not {binarize!r}."
      )
  own = "none" if binarize == "none" else "threshold"
  scored = np.asarray(pixels.binarize(generated[:num_samples], own))
  order = np.random.default_rng(seed).permutation(len(image_set.test_images))
  held_out = np.sort(order[:num_samples])
  scores = {"generated": {}, "real": {}}
  for network in networks:
    reference, test = (
      summary.reference(network, sources.of_split(image_set, split, binarize))
      for split in sources.SPLITS
    )
    seen = {
      "generated": summary.summarize(
        network,
        sources.of_array(scored, "samples"),
        keep=set_metrics.kept(kinds),
      ),
      "real": test.of_rows(held_out),
    }
    for row, one in seen.items():
      compared = set_metrics.Compared(one, reference, "train", seed)
      scores[row] |= set_metrics.records(compared, network, kinds)
  training = drawn.binarized(image_set.train_images, binarize, "train")
  test = drawn.binarized(image_set.test_images, binarize, "test")[held_out]
  scores["generated"]["nearest-train"] = _nearest(scored, training)
  scores["real"]["nearest-train"] = _nearest(test, training)
  for row, how in (("generated", own), ("real", binarize)):
    for record in scores[row].values():
      record["binarize"] = how
  return scores


def _check(generated: np.ndarray, image_set: ImageSet, num_samples: int):
  if num_samples > len(generated):
    raise errors.UserError(
      f"{num_samples} samples were to be scored but only {len(generated)} "
      "were generated; generate more or lower num_samples."
    )
  held_out = len(image_set.test_images)
  if num_samples < 2 or held_out < 2:
    raise errors.UserError(
      f"{num_samples} samples cannot be scored beside {held_out} held-out "
      "images; both must be at least 2."
    )
  if tuple(generated.shape[1:]) != tuple(image_set.image_shape):
    raise errors.UserError(
      f"The generated images are {generated.shape[1:]} and those of "
      f"{image_set.name!r} are {tuple(image_set.image_shape)}; score them "
      "against the data set that the model was trained on."
    )


def _nearest(images: np.ndarray, training: np.ndarray) -> Record:
  distances = neighbours.nearest_distances(images, training)
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

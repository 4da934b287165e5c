"""Scores generated images, and held-out ones in the same way beside them.

To add a metric over the features or predictions of the network, write a
function of `Compared` and name it in `METRICS`.
"""

from typing import Any, NamedTuple

import numpy as np

from pseudovideo import errors, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.metrics import (
  drawn,
  features,
  frechet,
  inception_score,
  kid,
  neighbours,
  statistics,
)

# An inception score is split ten times, or less: each has so many samples.
SPLIT_SIZE = 500
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000

Record = dict[str, Any]


class Compared(NamedTuple):
  """What a metric is computed from.

  Attributes:
    features: (N, D) float32 of the scored images.
    logits: (N, K) float32 of the scored images.
    reference: (M, D) float32 features of the training images.
    seed: of subsets and splits.
  """

  features: np.ndarray
  logits: np.ndarray
  reference: np.ndarray
  seed: int


def _frechet_distance(compared: Compared) -> Record:
  return {
    "value": frechet.frechet_from_moments(
      statistics.moments_of(compared.features),
      statistics.moments_of(compared.reference),
    ),
    "std": None,
    "better": "lower",
    "definition": (
      "Squared Frechet distance |m1-m2|^2 + tr(S1+S2-2(S1 S2)^(1/2)) between "
      "the means and covariances (ddof 1) of the penultimate features, in "
      "float64."
    ),
    "reference_split": "train",
    "reference_size": len(compared.reference),
  }


def _kid(compared: Compared) -> Record:
  sizes = len(compared.features), len(compared.reference)
  subset_size = min(KID_SUBSET_SIZE, *sizes)
  value, std = kid.kid(
    compared.features,
    compared.reference,
    subsets=KID_SUBSETS,
    subset_size=subset_size,
    seed=compared.seed,
  )
  return {
    "value": value,
    "std": std,
    "better": "lower",
    "definition": (
      "Unbiased squared MMD of the penultimate features under (x.y/D+1)^3, "
      f"mean and standard deviation over {KID_SUBSETS} subsets of "
      f"{subset_size}."
    ),
    "reference_split": "train",
    "reference_size": sizes[1],
  }


def _inception_score(compared: Compared) -> Record:
  num, num_classes = compared.logits.shape
  splits = max(1, min(10, num // SPLIT_SIZE))
  value, std = inception_score.inception_score(
    compared.logits, splits=splits, seed=compared.seed
  )
  return {
    "value": value,
    "std": std,
    "better": "higher",
    "definition": (
      "exp of the mean KL(p(y|x) || p(y)) of the predicted classes, mean and "
      f"standard deviation over splits (here {splits}); at most {num_classes}."
    ),
    "splits": splits,
    "reference_split": None,
    "reference_size": None,
  }


METRICS = {"FD": _frechet_distance, "KID": _kid, "IS": _inception_score}


def score(
  generated: np.ndarray,
  image_set: ImageSet,
  network: features.FeatureNetwork | None,
  *,
  num_samples: int,
  seed: int = 0,
  binarize: str = "none",
) -> dict[str, dict[str, Record]]:
  """Every metric of the generated images and of the held-out ones.

  The reference of distances is the training split. The held-out row uses as
  many images as the generated one if the split has so many, drawn with `seed`,
  because a Frechet distance falls with the number of samples.

  Where the data were binarized, generated images are compared after a
  threshold at half grey, whichever way the data were drawn: samplers return
  grey means, which no binarized image is near.

  Args:
    generated: (N, H, W, C) uint8; the first `num_samples` are scored.
    image_set: the data that the generator was trained on.
    network: of `trained.get_feature_network(image_set)`; None, for data
      without labels, leaves only the distance to the nearest training image.
    num_samples: how many to score, 2 .. N.
    seed: of the subsets and splits.
    binarize: how the data were binarized, as for the network.

  Returns:
    `{"generated": records, "real": records}`, records by metric name; each
    holds the value and all that is needed to quote it.

  Raises:
    ValueError: the network was trained on data binarized in another way.
    UserError: `num_samples` below 2 or above N, images of another shape, or
      fewer than two held-out images.
  """
  _check(generated, image_set, num_samples)
  if network and network.binarize != binarize:
    raise ValueError(
      f"The network {network.name} is for binarize={network.binarize!r}, not "
      f"{binarize!r}."
    )
  training = drawn.binarized(image_set.train_images, binarize, "train")
  test = drawn.binarized(image_set.test_images, binarize, "test")
  order = np.random.default_rng(seed).permutation(len(test))[:num_samples]
  own = "none" if binarize == "none" else "threshold"
  scored = np.asarray(pixels.binarize(generated[:num_samples], own))
  rows = {"generated": (scored, own), "real": (test[np.sort(order)], binarize)}
  scores = {row: {} for row in rows}
  if network:
    reference, _ = network(training)
    for row, (images, done) in rows.items():
      scores[row] = _network_records(images, done, reference, network, seed)
  for row, (images, done) in rows.items():
    scores[row]["nearest-train"] = _nearest(images, training, done)
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


def _network_records(
  images: np.ndarray,
  binarize: str,
  reference: np.ndarray,
  network: features.FeatureNetwork,
  seed: int,
) -> dict[str, Record]:
  """All of `METRICS` for one row of images."""
  compared = Compared(*network(images), reference, seed)
  about = {
    "num_samples": len(images),
    "seed": seed,
    "feature_network": network.provenance(),
    "binarize": binarize,
  }
  names = {kind: f"{kind}-{network.name}" for kind in METRICS}
  return {
    names[kind]: {"name": names[kind], **metric(compared), **about}
    for kind, metric in METRICS.items()
  }


def _nearest(images: np.ndarray, training: np.ndarray, how: str) -> Record:
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
    "binarize": how,
  }

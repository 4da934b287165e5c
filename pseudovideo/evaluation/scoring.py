"""Scores generated images, and held-out ones in the same way beside them."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from pseudovideo import errors, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.metrics import (
  compare,
  image_metrics,
  precision_recall,
  set_metrics,
  sources,
  summary,
)
from pseudovideo.pretrained import features

Record = set_metrics.Record
Rows = dict[str, dict[str, Record]]
# Names that `kinds` may hold.
METRICS = (*set_metrics.METRICS, *image_metrics.METRICS)


@dataclasses.dataclass(frozen=True, eq=False)
class Sets:
  """The three sets that scores compare.

  Attributes:
    samples: generated images, as many as are scored.
    training: the training split.
    held_out: the held-out split.
    binarize: how the two splits were binarized, one of `pixels.BINARIZE`.
    own: the same of the samples.
  """

  samples: sources.ImageSource
  training: sources.ImageSource
  held_out: sources.ImageSource
  binarize: str
  own: str


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
  """The three sets as a network sees them, features and logits kept.

  Attributes:
    network: the network.
    samples: generated images.
    training: the training split.
    held_out: the held-out split.
  """

  network: features.FeatureNetwork
  samples: summary.FeatureStats
  training: summary.FeatureStats
  held_out: summary.FeatureStats


def sets_of(
  generated: np.ndarray,
  image_set: ImageSet,
  *,
  num_samples: int,
  binarize: str = "none",
) -> Sets:
  """The sets that `score` compares.

  Where the data were binarized, generated images are compared after a
  threshold at half grey, whichever way the data were drawn: samplers return
  grey means, which are far from every binarized image.

  Args:
    generated: (N, H, W, C) uint8; the first `num_samples` are scored.
    image_set: the data that the generator was trained on.
    num_samples: number to score, 2 .. N.
    binarize: one of `pixels.BINARIZE`.

  Raises:
    UserError: see `check`, or `num_samples` above N.
  """
  if num_samples > len(generated):
    raise errors.UserError(
      f"{num_samples} samples were to be scored but only {len(generated)} "
      "were generated; generate more or lower num_samples."
    )
  check(generated.shape[1:], image_set, num_samples)
  own = "none" if binarize == "none" else "threshold"
  samples = generated[:num_samples]
  if own != "none":
    samples = np.asarray(pixels.binarize(samples, own))
  training, held_out = (
    sources.of_split(image_set, split, binarize) for split in sources.SPLITS
  )
  scored = sources.of_array(samples, "samples")
  return Sets(scored, training, held_out, binarize, own)


def see(sets: Sets, network: features.FeatureNetwork) -> Seen:
  """Shows the sets to a network; what it sees of the data is kept on disk.

  Raises:
    UserError: images that the network does not take.
    ValueError: a network for data binarized in another way.
  """
  if network.binarize != sets.binarize:
    raise ValueError(
      f"The network {network.name} is for binarize={network.binarize!r}, "
      f"not {sets.binarize!r}."
    )
  network.check(sets.samples.shape)
  return Seen(
    network,
    summary.summarize(network, sets.samples),
    summary.reference(network, sets.training),
    summary.reference(network, sets.held_out),
  )


def score(
  generated: np.ndarray,
  image_set: ImageSet,
  networks: Sequence[features.FeatureNetwork],
  *,
  num_samples: int,
  seed: int = 0,
  binarize: str = "none",
  kinds: Sequence[str] = set_metrics.DEFAULT,
) -> Rows:
  """Every metric of the generated images and of the held-out ones.

  Args:
    generated: see `sets_of`.
    image_set: see `sets_of`.
    networks: feature networks, such as `get_feature_network(image_set)`; an
      empty list leaves the metrics over pixels.
    num_samples: see `sets_of`.
    seed: seed of the subsets and splits, 0 or more.
    binarize: one of `pixels.BINARIZE`, the same for the data and the networks.
    kinds: names out of `METRICS`.

  Returns:
    See `rows`.

  Raises:
    ValueError: a network was trained on data binarized in another way.
    UserError: `num_samples` below 2 or above N, images of another shape, fewer
      than two held-out images, or too few for a metric.
  """
  sets = sets_of(
    generated, image_set, num_samples=num_samples, binarize=binarize
  )
  check(generated.shape[1:], image_set, num_samples, kinds if networks else ())
  return rows(sets, [see(sets, n) for n in networks], kinds, seed=seed)


def rows(
  sets: Sets, seen: Iterable[Seen], kinds: Sequence[str], *, seed: int
) -> Rows:
  """Every metric of the generated images and of the held-out ones.

  The reference of distances is the training split. The held-out row uses as
  many images as the generated one if the split has so many, drawn with `seed`,
  because a Frechet distance falls with the number of samples.

  Args:
    sets: sets that are compared.
    seen: the same as networks see them.
    kinds: names out of `METRICS`, which are extended by `NN`.
    seed: seed of the subsets and splits, 0 or more.

  Returns:
    `{"generated": records, "real": records}`, records by metric name; each
    holds the value and all that is needed to quote it.
  """
  of_sets, of_images = _kinds(kinds)
  of_sets = [*dict.fromkeys([*of_sets, "NN"])]
  places = drawn(sets.held_out.num, sets.samples.num, seed)
  some = sets.held_out.chosen(len(places), seed)
  found: Rows = {"generated": {}, "real": {}}
  for one in seen:
    for row, stats in (
      ("generated", one.samples),
      ("real", one.held_out.chosen(places)),
    ):
      pair = set_metrics.SetPair(stats, one.training, "train", seed)
      found[row] |= set_metrics.records(pair, one.network, of_sets)
  training = np.concatenate([*sets.training.blocks()])
  for row, source, how in (
    ("generated", sets.samples, sets.own),
    ("real", some, sets.binarize),
  ):
    found[row] |= compare.images(
      source, sets.training, of_images, split="train", seed=seed
    )
    images = np.concatenate([*source.blocks()])
    found[row]["nearest-train"] = _nearest(images, training)
    found[row] = {n: {**r, "binarize": how} for n, r in found[row].items()}
  return found


def drawn(num: int, wanted: int, seed: int) -> np.ndarray:
  """Places of at most `wanted` of `num` images, as `ImageSource.chosen` draws.

  Returns:
    (min(wanted, num),) ascending.
  """
  if wanted >= num:
    return np.arange(num)
  return np.sort(np.random.default_rng(seed).permutation(num)[:wanted])


def _kinds(kinds: Iterable[str]) -> tuple[list[str], list[str]]:
  """The metrics over features and over pixels."""
  kinds = list(kinds)
  of_images = [kind for kind in kinds if kind in image_metrics.METRICS]
  return [kind for kind in kinds if kind not in of_images], of_images


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
  of_sets, of_images = _kinds(kinds)
  for num, what in (
    (num_samples, "samples"),
    (held_out, "held-out images"),
    (len(image_set.train_images), "training images"),
  ):
    set_metrics.check_number(of_sets, num, what)
  image_metrics.check_shape(of_images, tuple(shape))
  if tuple(shape) != tuple(image_set.image_shape):
    raise errors.UserError(
      f"The generated images are {tuple(shape)} and the images of "
      f"{image_set.name!r} are {tuple(image_set.image_shape)}; score them "
      "against the data set that the model was trained on."
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

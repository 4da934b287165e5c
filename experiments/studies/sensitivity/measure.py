"""Scores of corrupted sets over several instruments, with standard errors."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.studies.sensitivity import corruptions
from pseudovideo.data.image_set import ImageSet, derived
from pseudovideo.metrics import (
  image_metrics,
  kid,
  precision_recall,
  set_metrics,
  sources,
  statistics,
  summary,
)
from pseudovideo.pretrained.features import FeatureNetwork

HALVES = 8
# Of a half's KID: its noise over images is what is wanted, not its value.
SUBSETS_OF_HALF = 10
# Precision, recall and nearest neighbours take time that grows as N^2.
MOST_NEIGHBOURS = 2000
KINDS = ("FD", "KID", "IS", "PR", "NN")
OF_NEIGHBOURS = ("PR", "NN")

# Name -> one array, a row for each image.
Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Score:
  """A score of a set, and of halves of it.

  Attributes:
    value: the score.
    halves: (HALVES,) scores of random halves; of two sets of one size the
      halves are at the same places. Their standard deviation is the standard
      error of a score of the whole set, as halves without replacement vary by
      sigma^2 / N like the whole.
    better: as in records of metrics.
  """

  value: float
  halves: tuple[float, ...]
  better: str


Scores = dict[str, Score]


def halves_of(num: int, seed: int) -> list[np.ndarray]:
  """Places of random halves of `num` images."""
  rng = np.random.default_rng([seed, num])
  return [rng.permutation(num)[: num // 2] for _ in range(HALVES)]


class Features:
  """A network as an instrument.

  Attributes:
    name: the network's name.
    network: the network.
  """

  def __init__(self, network: FeatureNetwork, training: sources.ImageSource):
    """Shows the training split to the network, once for all commands."""
    self.name, self.network = network.name, network
    self._training = summary.reference(network, training)

  def see(self, source: sources.ImageSource) -> Arrays:
    """Features and logits of images."""
    return summary.reference(self.network, source).kept

  def score(self, rows: Arrays, seed: int) -> Scores:
    """All metrics over the features."""
    whole = _stats(rows)
    num = whole.moments.num
    found: Scores = {}
    for kind in KINDS:
      if kind in OF_NEIGHBOURS and num > MOST_NEIGHBOURS:
        continue
      if kind == "NN":
        found["NN"] = self._nearest(rows["features"], seed)
        continue
      records = self._records(kind, whole, seed)
      parts = [
        self._half(kind, whole.chosen(places), seed)
        for places in halves_of(num, seed)
      ]
      for name, record in records.items():
        halves = tuple(part[name] for part in parts)
        found[name] = Score(record["value"], halves, record["better"])
    return found

  def _records(
    self, kind: str, stats: summary.FeatureStats, seed: int
  ) -> dict[str, Any]:
    pair = set_metrics.SetPair(stats, self._training, "train", seed)
    return set_metrics.METRICS[kind].compute(pair)

  def _half(
    self, kind: str, stats: summary.FeatureStats, seed: int
  ) -> dict[str, float]:
    if kind != "KID":
      records = self._records(kind, stats, seed)
      return {name: record["value"] for name, record in records.items()}
    value, _ = kid.kid(
      stats.kept["features"],
      self._training.kept["features"],
      subsets=SUBSETS_OF_HALF,
      subset_size=set_metrics.KID_SUBSET_SIZE,
      seed=seed,
    )
    return {"KID": value}

  def _nearest(self, features: np.ndarray, seed: int) -> Score:
    distances = precision_recall.nearest_features(
      features, self._training.kept["features"]
    )
    halves = (distances[p].mean() for p in halves_of(len(features), seed))
    return Score(float(distances.mean()), tuple(map(float, halves)), "as real")


def _stats(rows: Arrays) -> summary.FeatureStats:
  return summary.FeatureStats(statistics.moments_of(rows["features"]), rows)


class Pixels:
  """The metrics without a network as an instrument."""

  name = "pixels"
  network = None

  def __init__(self, training: sources.ImageSource):
    """Keeps the training split to compare with."""
    self._training = training

  def see(self, source: sources.ImageSource) -> Arrays:
    """The images themselves."""
    return {"images": np.concatenate([*source.blocks()])}

  def score(self, rows: Arrays, seed: int) -> Scores:
    """All metrics over pixels."""
    images = rows["images"]
    whole = self._values(images, seed)
    parts = [
      self._values(images[places], seed)
      for places in halves_of(len(images), seed)
    ]
    return {
      name: Score(value, tuple(part[name] for part in parts), "lower")
      for name, value in whole.items()
    }

  def _values(self, images: np.ndarray, seed: int) -> dict[str, float]:
    records = image_metrics.records(
      sources.of_array(images, "images"),
      self._training,
      image_metrics.METRICS,
      split="train",
      seed=seed,
    )
    return {name: record["value"] for name, record in records.items()}


Instrument = Features | Pixels


def scores(
  image_set: ImageSet,
  instrument: Instrument,
  numbers: Sequence[int],
  *,
  seed: int,
  tell: Callable[[str], None] = print,
) -> Iterator[dict[str, Any]]:
  """One record for each metric of each set.

  Args:
    image_set: the data.
    instrument: what scores.
    numbers: sizes of the sets.
    seed: seed of everything that is drawn.
    tell: called with a line for each set that was scored.
  """
  pools = {
    corruptions.TRAINING: instrument.see(sources.of_split(image_set, "train"))
  }
  for name, make in corruptions.corrupted(image_set.test_images, seed).items():
    identity = {
      "fingerprint": derived(image_set.fingerprint, f"{name}, seed {seed}")
    }
    source = sources.of_array(make(), f"{image_set.name}, {name}", identity)
    pools[name] = instrument.see(source)
  for num in numbers:
    for condition in corruptions.conditions(image_set, num, seed):
      rows = _gathered(pools, condition)
      tell(
        f"{instrument.name}: {condition.name} {condition.strength:g}, "
        f"{condition.num} images"
      )
      for metric, score in instrument.score(rows, seed).items():
        yield {
          "instrument": instrument.name,
          "metric": metric,
          "better": score.better,
          "change": condition.name,
          "strength": condition.strength,
          "size": num,
          "num": condition.num,
          "value": score.value,
          "standard_error": float(np.std(score.halves, ddof=1)),
          "halves": list(score.halves),
        }


def _gathered(
  pools: Mapping[str, Arrays], condition: corruptions.Condition
) -> Arrays:
  """The rows of a set out of the pools."""
  return {
    name: np.concatenate(
      [pools[part.pool][name][part.places] for part in condition.parts]
    )
    for name in pools[corruptions.CLEAN]
  }

"""Metrics of a set of images against another, over features of a network.

To add one, write a function of `SetPair` and name it in `METRICS`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from pseudovideo import errors
from pseudovideo.metrics import (
  extrapolation,
  frechet,
  inception_score,
  kid,
  precision_recall,
)
from pseudovideo.metrics.summary import FeatureStats
from pseudovideo.pretrained import features

# An inception score has ten splits, or fewer, of at least so many samples.
SPLIT_SIZE = 500
MAX_SPLITS = 10
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000
NEIGHBOURS = 3
DEFAULT = ("FD", "KID", "IS")

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class SetPair:
  """Two sets of images as a network sees them, to be compared.

  Attributes:
    scored: images that are scored.
    reference: images that they are compared with.
    split: name of the reference.
    seed: seed of subsets and splits, 0 or more.
  """

  scored: FeatureStats
  reference: FeatureStats
  split: str
  seed: int

  @property
  def against(self) -> Record:
    """The entries of a record about the reference."""
    return {
      "reference_split": self.split,
      "reference_size": self.reference.moments.num,
    }


@dataclasses.dataclass(frozen=True)
class Metric:
  """One entry of `METRICS`.

  Attributes:
    compute: from a pair of sets to records by name; a name is a kind of
      score, to which `named` adds the network's.
    keep: names out of `summary.KEPT` that it needs of every scored image.
    least: images that it needs of either set.
  """

  compute: Callable[[SetPair], dict[str, Record]]
  keep: tuple[str, ...] = ()
  least: int = 2


def _frechet_distance(pair: SetPair) -> dict[str, Record]:
  value = frechet.distance(pair.scored.gaussian, pair.reference.gaussian)
  return {
    "FD": {
      "value": value,
      "std": None,
      "better": "lower",
      "definition": (
        "Squared Frechet distance |m1-m2|^2 + tr(S1+S2-2(S1 S2)^(1/2)) between "
        "the means and covariances (ddof 1) of the features, in float64."
      ),
      **pair.against,
    }
  }


def _kid(pair: SetPair) -> dict[str, Record]:
  scored, real = (s.kept["features"] for s in (pair.scored, pair.reference))
  subset_size = min(KID_SUBSET_SIZE, len(scored), len(real))
  # Subsets that are the sets themselves are equal.
  subsets = 1 if len(scored) == len(real) == subset_size else KID_SUBSETS
  value, std = kid.kid(
    scored,
    real,
    subsets=subsets,
    subset_size=subset_size,
    seed=pair.seed,
  )
  return {
    "KID": {
      "value": value,
      "std": std if subsets > 1 else None,
      "better": "lower",
      "definition": (
        "Unbiased squared MMD of the features under (x.y/D+1)^3, mean and "
        f"standard deviation over subsets of {subset_size} (here {subsets})."
      ),
      **pair.against,
    }
  }


def _inception_score(pair: SetPair) -> dict[str, Record]:
  logits = pair.scored.kept["logits"]
  splits = max(1, min(MAX_SPLITS, len(logits) // SPLIT_SIZE))
  value, std = inception_score.inception_score(
    logits, splits=splits, seed=pair.seed
  )
  return {
    "IS": {
      "value": value,
      "std": std if splits > 1 else None,
      "better": "higher",
      "definition": (
        "exp of the mean KL(p(y|x) || p(y)) of the predicted classes, mean and "
        f"standard deviation over splits (here {splits}); at most "
        f"{logits.shape[1]}."
      ),
      "splits": splits,
      "reference_split": None,
      "reference_size": None,
    }
  }


def about_inception_scores(records: Mapping[str, Record]) -> list[str]:
  """Sentences about Inception Scores, to be printed beside their values.

  Args:
    records: by name, of any metrics.

  Returns:
    "NAME: its definition", one for every Inception Score.
  """
  return [
    f"{name}: {record['definition']}"
    for name, record in records.items()
    if name.startswith("IS")
  ]


def _precision_recall(pair: SetPair) -> dict[str, Record]:
  scored, real = (s.kept["features"] for s in (pair.scored, pair.reference))
  num = min(len(scored), len(real))
  rng = np.random.default_rng(pair.seed)
  drawn = [
    np.asarray(rows[np.sort(rng.permutation(len(rows))[:num])])
    for rows in (real, scored)
  ]
  values = precision_recall.precision_recall(*drawn, neighbours=NEIGHBOURS)
  meanings = {
    "precision": "scored images within the manifold of the reference",
    "recall": "reference images within the manifold of the scored ones",
  }
  return {
    name: {
      "value": value,
      "std": None,
      "better": "higher",
      "definition": (
        f"Share of {meaning}: the balls around its features that reach their "
        f"{NEIGHBOURS}rd nearest neighbours; {num} of either."
      ),
      "reference_split": pair.split,
      "reference_size": num,
    }
    for (name, meaning), value in zip(meanings.items(), values, strict=True)
  }


def _nearest_neighbours(pair: SetPair) -> dict[str, Record]:
  distances = precision_recall.nearest_features(
    pair.scored.kept["features"], pair.reference.kept["features"]
  )
  return {
    "NN": {
      "value": float(distances.mean()),
      "std": float(distances.std()),
      "better": "as real",
      "definition": (
        "Mean and standard deviation of the Euclidean distance of features to "
        "the nearest reference image; to all training images, far below that "
        "of held-out images it shows copying."
      ),
      **pair.against,
    }
  }


def _extrapolated(
  name: str, better: str, found: extrapolation.Extrapolated, what: str
) -> dict[str, Record]:
  return {
    name: {
      "value": found.value,
      "std": found.standard_error,
      "better": better,
      "definition": (
        f"{what} at infinitely many images: intercept, with the standard error "
        f"of the fit, of a straight line in 1/N through {len(found.counts)} "
        f"scores of {found.counts[0]} to {found.counts[-1]} images."
      ),
    }
  }


def _frechet_at_infinity(pair: SetPair) -> dict[str, Record]:
  found = extrapolation.frechet_at_infinity(
    pair.scored.kept["features"], pair.reference.moments, seed=pair.seed
  )
  records = _extrapolated("FD-inf", "lower", found, "Squared Frechet distance")
  return {"FD-inf": {**records["FD-inf"], **pair.against}}


def _score_at_infinity(pair: SetPair) -> dict[str, Record]:
  found = extrapolation.score_at_infinity(
    pair.scored.kept["logits"], seed=pair.seed
  )
  records = _extrapolated("IS-inf", "higher", found, "Inception Score")
  none = {"reference_split": None, "reference_size": None}
  return {"IS-inf": {**records["IS-inf"], **none}}


METRICS = {
  "FD": Metric(_frechet_distance),
  "KID": Metric(_kid, ("features",)),
  "IS": Metric(_inception_score, ("logits",)),
  "PR": Metric(_precision_recall, ("features",), NEIGHBOURS + 1),
  "NN": Metric(_nearest_neighbours, ("features",)),
  "FD-inf": Metric(_frechet_at_infinity, ("features",), extrapolation.LEAST),
  "IS-inf": Metric(_score_at_infinity, ("logits",), extrapolation.LEAST),
}


def check_number(kinds: Iterable[str], num: int, what: str) -> None:
  """Refuses metrics that so few images have no value of.

  Args:
    kinds: names out of `METRICS`.
    num: number of images.
    what: plural that says which images these are.

  Raises:
    UserError: there is no such metric, or it needs more images.
  """
  for kind in kinds:
    least = errors.look_up("metric", kind, METRICS).least
    if num < least:
      raise errors.UserError(
        f"{kind} needs {least} images or more, and there are {num} {what}; "
        "take more, or leave it out of the metrics."
      )


def warning(name: str, record: Mapping[str, Any]) -> str | None:
  """A sentence that belongs beside a Frechet distance of few images, or None.

  Args:
    name: name of any metric.
    record: its record.
  """
  dim = (record.get("feature_network") or {}).get("feature_dim", 0)
  least = min(record["num_samples"], record.get("reference_size") or 0)
  if not name.startswith(("FID", "FD", "FVD")) or least > dim:
    return None
  return (
    f"{name} of {least:,} items over {dim:,} features: a covariance is "
    "singular and the score far too high; compare it only with scores of as "
    "many items."
  )


def warnings(records: Mapping[str, Record]) -> list[str]:
  """The sentences of `warning` about some records by name."""
  found = [warning(name, record) for name, record in records.items()]
  return [text for text in found if text is not None]


def kept(kinds: Iterable[str]) -> set[str]:
  """Names out of `summary.KEPT` that these metrics need.

  Raises:
    UserError: there is no such metric.
  """
  return {
    name
    for kind in kinds
    for name in errors.look_up("metric", kind, METRICS).keep
  }


def named(kind: str, network: features.FeatureNetwork) -> str:
  """The name of a score over a network.

  Only scores over the published Inception weights have the names that the
  literature gives them; all others carry the network's name. The name of I3D
  holds the start of a hash, as no checksum of its weights is published.
  """
  first, rest = network.name.partition("-")[::2]
  if first == "i3d":
    return f"{kind.replace('FD', 'FVD')}-{network.name}"
  if first != "inception":
    return f"{kind}-{network.name}"
  kind = kind.replace("FD", "FID")
  return f"{kind}-{rest}" if rest else kind


def records(
  pair: SetPair,
  network: features.FeatureNetwork,
  kinds: Iterable[str] = DEFAULT,
) -> dict[str, Record]:
  """Records by name, each with all that is needed to quote it.

  Args:
    pair: the two sets as `network` sees them.
    network: the network of both summaries; every record quotes it.
    kinds: names out of `METRICS`.

  Raises:
    UserError: there is no such metric, or too few images for one.
  """
  about = {
    "num_samples": pair.scored.moments.num,
    "seed": pair.seed,
    "feature_network": network.provenance(),
  }
  found = {}
  for kind in kinds:
    metric = errors.look_up("metric", kind, METRICS)
    for name, record in metric.compute(pair).items():
      name = named(name, network)
      found[name] = {"name": name, **record, **about}
      if (text := warning(name, found[name])) is not None:
        found[name]["warning"] = text
  return found

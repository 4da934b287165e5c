"""Distances to training and to held-out images, as many of either.

A model that fits its training images too closely is nearer to them than to
held-out ones. Most distances fall with the number of images, so both sets have
the same. Copies show in the distance to the nearest of all training images,
`NN` of `scoring.rows`: few of their originals would be drawn here.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from pseudovideo.evaluation import scoring
from pseudovideo.metrics import set_metrics

# Which images are compared with which.
ROWS = ("generated_train", "generated_held_out", "held_out_train")
# Metrics that have no reference.
_ALONE = ("IS", "IS-inf")
# A line in 1/N fits where each N is above the dimension of the features, and
# the least of `extrapolation` is a tenth.
_PER_FEATURE = 10


def rows(
  sets: scoring.Sets,
  seen: Iterable[scoring.Seen],
  kinds: Sequence[str],
  *,
  seed: int,
) -> scoring.Rows:
  """The distances between equal numbers of images, with nearest neighbours.

  The number is that of the smallest of the three sets; of larger ones that
  many are drawn, of the samples the first. Where it allows, a Frechet distance
  is also extrapolated to infinitely many images.

  Args:
    sets: sets that are compared.
    seen: the same as networks see them.
    kinds: names out of `set_metrics.METRICS`, which is extended by `NN`.
    seed: seed of what is drawn, 0 or more.

  Returns:
    A name out of `ROWS` -> metric -> its record.
  """
  found: scoring.Rows = {name: {} for name in ROWS}
  for one in seen:
    pairs = _pairs(sets, one, seed)
    chosen = _kinds(kinds, pairs["generated_train"].scored.moments.num, one)
    for name, pair in pairs.items():
      how = sets.binarize if name == "held_out_train" else sets.own
      records = set_metrics.records(pair, one.network, chosen)
      found[name] |= {n: {**r, "binarize": how} for n, r in records.items()}
  return found


def _pairs(
  sets: scoring.Sets, one: scoring.Seen, seed: int
) -> dict[str, set_metrics.SetPair]:
  """What is compared, by the names of `ROWS`."""
  num = min(s.num for s in (sets.samples, sets.training, sets.held_out))
  samples = one.samples.chosen(np.arange(num))
  training, held_out = (
    stats.chosen(scoring.drawn(stats.moments.num, num, seed))
    for stats in (one.training, one.held_out)
  )
  return {
    "generated_train": set_metrics.SetPair(samples, training, "train", seed),
    "generated_held_out": set_metrics.SetPair(samples, held_out, "test", seed),
    "held_out_train": set_metrics.SetPair(held_out, training, "train", seed),
  }


def _kinds(kinds: Sequence[str], num: int, one: scoring.Seen) -> list[str]:
  """The metrics over features that have a reference, and `NN`."""
  distances = [k for k in kinds if k in set_metrics.METRICS and k not in _ALONE]
  found = dict.fromkeys([*distances, "NN"])
  if "FD" in found and num >= _PER_FEATURE * one.network.feature_dim:
    found["FD-inf"] = None
  elif "FD-inf" in found:
    del found["FD-inf"]
  return list(found)


def lines(rows: scoring.Rows) -> list[str]:
  """The distances as text, one line for each metric; none without networks."""
  first = rows["generated_train"]
  if not first:
    return []
  width = 2 + max(map(len, first))
  num = next(iter(first.values()))["num_samples"]
  heads = ("generated-train", "generated-held", "held-train")
  found = [
    f"{f'{num} of either':<{width}}" + "".join(map("{:>17}".format, heads))
  ]
  for name in first:
    values = (scores[name]["value"] for scores in rows.values())
    found.append(f"{name:<{width}}" + "".join(f"{v:>17.4f}" for v in values))
  return found

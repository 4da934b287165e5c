"""Scores over older classifiers, which share a name with today's.

A classifier that comes with the package is the same on all machines. Before it
did, each machine trained one of that name, and none of those can be had again.
Their scores keep their place in results; tables name them with the beginning of
their weights' hash.
"""

import contextlib
import functools
from collections.abc import Mapping
from typing import Any

from pseudovideo import errors
from pseudovideo.pretrained import packaged

Record = Mapping[str, Any]
DIGITS = 8


@functools.cache
def _packaged() -> dict[str, str]:
  """Name of a classifier of the package -> hash of its weights."""
  found = {}
  for path in packaged.FOLDER.glob("*.safetensors"):
    # Tables of results need no weights, and are made where one is damaged.
    with contextlib.suppress(errors.UserError):
      facts = packaged.read(path).facts
      found[facts["network"]] = facts["weights_hash"]
  return found


def is_older(network: Record) -> bool:
  """Whether today's network of that name has other weights."""
  digest = network["weights_hash"]
  return _packaged().get(network.get("name", ""), digest) != digest


def named(record: Record) -> dict[str, Any]:
  """The record with a hash in the names of scores over older classifiers."""
  metrics = {
    row: {name_of(name, metric): metric for name, metric in scores.items()}
    for row, scores in record["metrics"].items()
  }
  return {**record, "metrics": metrics}


def name_of(name: str, metric: Record) -> str:
  """The name of a score in tables; `metric` is its record."""
  network = metric.get("feature_network")
  if network is None or not is_older(network):
    return name
  return f"{name}-{network['weights_hash'][:DIGITS]}"


def headline(records: Record) -> str | None:
  """The score to quote of one row, by what `studies.instruments` found.

  It is over EfficientNet-Lite0 if that was used: the Frechet distance, or, of
  no more images than features, KID.

  Args:
    records: name of a score -> its record.

  Returns:
    A name; None without scores over a network.
  """
  over = [name for name, one in records.items() if "feature_network" in one]
  names = [name for name in over if name.endswith("-efflite0")] or over
  distances = [
    name
    for name in names
    if name.startswith("FD-") and "warning" not in records[name]
  ]
  kernels = [name for name in names if name.startswith("KID-")]
  return next(iter([*distances, *kernels, *names]), None)

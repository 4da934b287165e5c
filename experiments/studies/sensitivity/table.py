"""The study as tables, and sentences on them."""

from collections.abc import Sequence
from typing import Any

from experiments.studies.sensitivity import corruptions, verdicts

Table = tuple[list[str], list[list[str]]]


def of_size(record: dict[str, Any], size: int) -> Table:
  """What each score sees of sets of one size, the most sensitive first."""
  found = verdicts.by_metric(record["rows"], size)
  changes = corruptions.names()
  clean = {
    verdicts.full_name(row): row
    for row in record["rows"]
    if (row["change"], row["num"]) == ("clean", size)
  }
  lines = [
    [
      name,
      f"{clean[name]['value']:.4g} ± {clean[name]['standard_error']:.1g}",
      *(found[name][change] for change in changes),
      f"{verdicts.seen(found[name])} of {len(changes)}",
    ]
    for name in sorted(found, key=lambda n: -verdicts.seen(found[n]))
  ]
  return ["", "held-out data", *changes, "seen"], lines


def sentences(record: dict[str, Any]) -> list[str]:
  """What was measured, in words."""
  networks = ", ".join(
    f"{name} (weights {facts['weights_hash'][:8]})"
    for name, facts in record["networks"].items()
    if facts is not None
  )
  levels = "; ".join(
    f"{name} {', '.join(f'{s:g}' for s in corruption.strengths)}"
    for name, corruption in corruptions.CORRUPTIONS.items()
  )
  data = record["data"]
  return [
    f"{data['name']}: held-out images, changed, against all "
    f"{data['train']:,} training images; seed {record['seed']}; {networks}.",
    f"Strengths: {levels} (noise in grey values of 255, blur in pixels, "
    "contrast lost, JPEG quality below 100); classes left out 1, 2; shares of "
    "duplicates 0.1, 0.5 and of training images 0.5, 1. `from S`: told from "
    "as many unchanged images by two standard errors (of paired random "
    "halves) from strength S on, and the stronger the worse. Reversed: a "
    "changed set has the better score.",
  ]


def of_inputs(record: dict[str, Any]) -> Table:
  """Accuracies of linear classifiers, by side and scale of the input."""
  header = ["side", "scale", "accuracy", "CPU-s per image"]
  lines = [
    [
      str(one["side"]),
      one["scale"],
      f"{one['accuracy']:.1%}",
      f"{one['cpu_seconds'] / (one['labels'] + one['tested']):.4f}",
    ]
    for one in record["inputs"]
  ]
  return header, lines


def sizes(record: dict[str, Any]) -> Sequence[int]:
  """Sizes of the sets, ascending."""
  return sorted({row["size"] for row in record["rows"]})

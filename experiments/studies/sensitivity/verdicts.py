"""What a metric makes of a change: from which strength on it is seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]
BLIND, REVERSED, UNEVEN = "blind", "reversed", "not monotone"


def worse(row: Row, clean: Row) -> tuple[float, float]:
  """How much worse a set is than as many clean images, and the standard error.

  The halves of both are at the same places, so that what they have in common
  cancels. Of a metric that should be as that of real images, any difference is
  worse.

  Args:
    row: record of `measure.scores`.
    clean: that of clean images, of the same metric and number.
  """
  sign = -1 if row["better"] == "higher" else 1
  gain = sign * (row["value"] - clean["value"])
  halves = np.subtract(row["halves"], clean["halves"])
  error = float(np.std(halves, ddof=1))
  return (abs(gain) if row["better"] == "as real" else gain), error


def verdict(rows: Sequence[Row], clean: Sequence[Row]) -> str:
  """The verdict on one metric and one change.

  Args:
    rows: by rising strength.
    clean: for each of them, that of as many clean images.

  Returns:
    `from S`, the weakest strength that is told apart (by two standard errors)
    and from which on stronger is worse; `blind` where none is told apart;
    `reversed` where a changed set is better than a clean one; `not monotone`
    otherwise.
  """
  gains = [worse(*pair) for pair in zip(rows, clean, strict=True)]
  if any(gain < -2 * error for gain, error in gains):
    return REVERSED
  seen = [gain > 2 * error for gain, error in gains]
  if not any(seen):
    return BLIND
  first = seen.index(True)
  values = [0.0, *(gain for gain, _ in gains[first:])]
  if all(seen[first:]) and values == sorted(values):
    return f"from {rows[first]['strength']:g}"
  return UNEVEN


def by_metric(rows: Sequence[Row], size: int) -> dict[str, dict[str, str]]:
  """Verdicts of one size of sets: metric over instrument -> change -> verdict.

  Args:
    rows: all records of a data set.
    size: number of images of the sets.
  """
  found: dict[str, dict[str, str]] = {}
  mine = [row for row in rows if row["size"] == size]
  for name in dict.fromkeys(map(full_name, mine)):
    of_name = [row for row in mine if full_name(row) == name]
    clean = {r["num"]: r for r in of_name if r["change"] == "clean"}
    changed = [row for row in of_name if row["change"] != "clean"]
    for change in dict.fromkeys(row["change"] for row in changed):
      levels = [row for row in changed if row["change"] == change]
      levels.sort(key=lambda row: row["strength"])
      beside = [clean[row["num"]] for row in levels]
      found.setdefault(name, {})[change] = verdict(levels, beside)
  return found


def full_name(row: Row) -> str:
  """The name of a score, such as `FD-efflite0`; metrics of pixels have one."""
  if row["instrument"] == "pixels":
    return row["metric"]
  return f"{row['metric']}-{row['instrument']}"


def seen(verdicts: dict[str, str]) -> int:
  """The number of changes that a metric sees."""
  return sum(verdict.startswith("from") for verdict in verdicts.values())

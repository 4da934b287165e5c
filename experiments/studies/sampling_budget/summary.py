"""Means over seeds, and the smallest number of evaluations that is enough."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.reporting import instruments
from experiments.studies.sampling_budget.settings import Setting
from pseudovideo import errors

STANDARD_ERRORS = 2


@dataclasses.dataclass(frozen=True)
class Row:
  """A setting and its scores.

  Attributes:
    setting: the sampler.
    evaluations: evaluations of the network for one sample; for its last stage
      only, where the setting draws that alone.
    values: values of the primary metric, one per seed.
    points: points as they were measured, one per seed.
  """

  setting: Setting
  evaluations: int
  values: tuple[float, ...]
  points: tuple[dict[str, Any], ...] = ()

  @property
  def mean(self) -> float:
    return float(np.mean(self.values))

  @property
  def standard_error(self) -> float:
    return standard_error(self.values)

  @property
  def seconds(self) -> float | None:
    """Seconds of the fastest seed, as the first one may have compiled."""
    return min((point["seconds"] for point in self.points), default=None)


def standard_error(values: Sequence[float]) -> float:
  """Standard error of the mean, by the spread (ddof 1) of two or more."""
  return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def primary_metric(records: dict[str, Any]) -> str:
  """The name of the metric by which samplers are compared.

  Raises:
    UserError: there is none over a network.
  """
  name = instruments.headline(records)
  if name is None:
    raise errors.UserError(
      "Samplers are compared over a network, and the scores of this run have "
      f"none: {', '.join(records)}; install the weights of efflite0."
    )
  return name


def is_enough(
  row: Row, reference: Row, better: str = "lower", *, strict: bool = False
) -> bool:
  """Decides if a score is better than the reference's, or not clearly worse.

  A score that scatters much over the seeds is harder to tell from the
  reference's, and so passes more easily; hence `strict`.

  Args:
    row: the row that is judged.
    reference: row of the sampler that it is to replace.
    better: `lower` or `higher`.
    strict: True counts the reference's standard error alone.

  Returns:
    Whether it is worse by at most two standard errors of the difference.
  """
  worse = row.mean - reference.mean
  if better == "higher":
    worse = -worse
  own = 0.0 if strict else row.standard_error
  return worse <= STANDARD_ERRORS * math.hypot(own, reference.standard_error)


def smallest(
  rows: Iterable[Row],
  reference: Row,
  better: str = "lower",
  *,
  strict: bool = False,
) -> Row | None:
  """The row that is enough with the fewest evaluations; of these the best."""
  sign = -1 if better == "higher" else 1
  return min(
    (row for row in rows if is_enough(row, reference, better, strict=strict)),
    key=lambda row: (row.evaluations, sign * row.mean),
    default=None,
  )


@dataclasses.dataclass(frozen=True)
class Summary:
  """The result of a sweep.

  Attributes:
    metric: name of the primary metric.
    better: `lower` or `higher`.
    steps: steps of the process.
    stages: stages of the schedule; the full sampler takes all steps in each.
    reference: row that the others are compared with.
    rows: samplers of whole videos, the reference among them.
    last: samplers of the last stage alone.
  """

  metric: str
  better: str
  steps: int
  stages: int
  reference: Row
  rows: tuple[Row, ...]
  last: tuple[Row, ...]

  @property
  def full(self) -> int:
    """Evaluations of the full sampler."""
    return self.steps * self.stages

  @property
  def chosen(self) -> Row:
    """The answer; the reference itself if nothing cheaper is enough."""
    return smallest(self.rows, self.reference, self.better)

  @property
  def chosen_strictly(self) -> Row:
    """The answer by the reference's standard error alone."""
    return smallest(self.rows, self.reference, self.better, strict=True)

  @property
  def last_chosen(self) -> dict[str, Row | None]:
    """Method -> the fewest steps of the last stage that are enough."""
    methods = dict.fromkeys(row.setting.method for row in self.last)
    return {
      method: smallest(
        [row for row in self.last if row.setting.method == method],
        self.reference,
        self.better,
      )
      for method in methods
    }

  def sentences(self) -> list[str]:
    """The answers, in words."""
    said, chosen, reference = [], self.chosen, self.reference
    instead = f"{chosen.evaluations:,} evaluations instead of "
    fewer = f"{self.full:,}: {self.full / chosen.evaluations:.3g} times fewer"
    if reference.evaluations == self.full:
      instead += fewer
    else:
      said.append(
        f"The reference is {reference.setting.label} with "
        f"{reference.evaluations:,} evaluations, not the full sampler with "
        f"{self.full:,}, which was not measured."
      )
      times = reference.evaluations / chosen.evaluations
      instead += (
        f"the full sampler's {fewer}; instead of the reference's "
        f"{reference.evaluations:,}: {times:.3g} times fewer"
      )
    if chosen == reference:
      said.append(
        "No cheaper setting has a score within two standard errors of the "
        "reference's."
      )
    said.append(f"{instead} ({chosen.setting.label}).")
    strict = self.chosen_strictly
    said.append(
      "Counting the standard error of the reference alone: "
      f"{strict.evaluations:,} evaluations ({strict.setting.label})."
    )
    if self.last:
      needed = [
        f"{row.evaluations if row else 'none of them'} ({method})"
        for method, row in self.last_chosen.items()
      ]
      said.append(
        "After the reference's earlier frames, the fewest of the tried steps "
        f"that are enough for the last stage: {', '.join(needed)}."
      )
    return said

"""The metrics of a run's steps: gathered, checked and logged."""

import time
from collections.abc import Mapping
from typing import Any

import jax

from pseudovideo import optimizers
from pseudovideo.config import parsing
from pseudovideo.runs import metric_log
from pseudovideo.training import finite, steps

_RUN_AHEAD = 8


class Recorder:
  """Keeps the metrics of steps on the devices until they are looked at.

  What a checkpoint has to remember of the steps since the last line is its
  `progress`, so that a resumed run writes the same lines as one that was never
  interrupted.

  Args:
    config: config of the run.
    writer: the run's log.
    progress: what `progress` returned when the checkpoint was saved, see there.
      Without it nothing came since the last line.
    seconds: training time of earlier processes, if `progress` does not say.
  """

  def __init__(
    self,
    config: parsing.Config,
    writer: metric_log.MetricWriter,
    progress: Mapping[str, Any] | None = None,
    seconds: float = 0.0,
  ):
    found = progress or {}
    self._train = config.train
    self._schedule = optimizers.make_schedule(
      config.optimizer, config.train.steps
    )
    self._writer = writer
    self._seconds = found.get("seconds", seconds)
    self._clock = time.monotonic()
    self._monitor = finite.NonFiniteMonitor(
      config.train.skip_bad_steps,
      found.get("left_out_in_a_row", 0),
      found.get("left_out", 0),
    )
    self._pending: list[tuple[int, steps.Metrics]] = []
    self._sums: steps.Sums = dict(found.get("sums", {}))

  @property
  def left_out(self) -> int:
    """Steps that were left out since the beginning of the run."""
    return self._monitor.in_all

  def start_clock(self) -> None:
    """Begins to count the seconds of training."""
    self._clock = time.monotonic()

  def add(self, step: int, metrics: steps.Metrics) -> None:
    """Takes the metrics of a step; waits for the metrics a few steps before.

    Args:
      step: number of updates done.
      metrics: metrics that the step returned, still being computed.
    """
    self._pending.append((step, metrics))
    if len(self._pending) > _RUN_AHEAD:
      jax.block_until_ready(self._pending[-_RUN_AHEAD][1])

  def check(self) -> None:
    """Checks every step since the last check.

    Raises:
      RunError: a step was not finite; names it.
    """
    pending, self._pending = jax.device_get(self._pending), []
    for step, metrics in pending:
      self._monitor.is_left_out(step, metrics)
      self._sums = steps.added(self._sums, metrics)

  def progress(self) -> dict[str, Any]:
    """What a checkpoint keeps of the steps; `check` comes first.

    Returns:
      `sums` of the metrics since the last line, (sum, weight) by name;
      `left_out_in_a_row`, the steps left out up to here without a good one
      between; `left_out`, in all; `seconds` of training.
    """
    self._count_seconds()
    return {
      "sums": self._sums,
      "left_out_in_a_row": self._monitor.in_a_row,
      "left_out": self._monitor.in_all,
      "seconds": self._seconds,
    }

  def log(self, step: int) -> None:
    """Writes the means of all steps since the last line; `check` comes first.

    Args:
      step: number of updates done.
    """
    self._count_seconds()
    left_out = self._sums.pop("skipped", (0.0, 0.0))[0]
    means = steps.means(self._sums)
    self._sums = {}
    means.setdefault("loss", float("nan"))  # If all steps were left out.
    if self._train.skip_bad_steps:
      means["skipped"] = left_out
    means["learning_rate"] = float(self._schedule(step - 1))
    means["images_seen"] = step * self._train.batch_size
    means["seconds"] = self._seconds
    self._writer.scalars(step, means)

  def _count_seconds(self) -> None:
    now = time.monotonic()
    self._seconds += now - self._clock
    self._clock = now

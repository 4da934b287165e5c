"""The metrics of a run's steps: gathered, checked and logged."""

import time

import jax

from pseudovideo import optimizers
from pseudovideo.config import parsing
from pseudovideo.runs import metric_log
from pseudovideo.training import finite, steps

_RUN_AHEAD = 8


class Recorder:
  """Keeps the metrics of steps on the devices until they are looked at.

  Args:
    config: config of the run.
    writer: the run's log.
    seconds: training time of earlier processes.
  """

  def __init__(
    self,
    config: parsing.Config,
    writer: metric_log.MetricWriter,
    seconds: float,
  ):
    self._train = config.train
    self._schedule = optimizers.make_schedule(
      config.optimizer, config.train.steps
    )
    self._writer = writer
    self._seconds = seconds
    self._clock = time.monotonic()
    self._monitor = finite.NonFiniteMonitor(config.train.skip_bad_steps)
    self._pending: list[tuple[int, steps.Metrics]] = []
    self._skipped = 0

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
    self._pending = jax.device_get(self._pending)
    self._skipped += self._monitor.count(self._pending)

  def log(self, step: int) -> None:
    """Writes the means of all steps since the last line; `check` comes first.

    Args:
      step: number of updates done.
    """
    now = time.monotonic()
    self._seconds += now - self._clock
    self._clock = now
    means = steps.average([metrics for _, metrics in self._pending])
    self._pending = []
    means.setdefault("loss", float("nan"))  # If all steps were left out.
    if self._train.skip_bad_steps:
      means["skipped"] = self._skipped
      self._skipped = 0
    means["learning_rate"] = float(self._schedule(step - 1))
    means["images_seen"] = step * self._train.batch_size
    means["seconds"] = self._seconds
    self._writer.scalars(step, means)

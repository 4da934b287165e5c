"""Stops at losses and gradients that are not finite, or leaves the step out."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from pseudovideo import errors


class NonFiniteMonitor:
  """Looks at every step of a run, in order.

  Args:
    allowed: how many steps in a row may be left out; 0: none.
  """

  def __init__(self, allowed: int):
    self._allowed = allowed
    self._in_a_row = 0
    self._seen = 0

  def count(self, metrics: Iterable[tuple[int, dict[str, Any]]]) -> int:
    """Counts how many of these steps were left out.

    Args:
      metrics: (number, metrics of `steps.make_step`); steps that were counted
        before are passed over.

    Raises:
      RunError: a step was not finite, or too many in a row were not; the
        message is the beginning of a sentence that the caller completes.
    """
    skipped = 0
    for step, found in metrics:
      if step <= self._seen:
        continue
      self._seen = step
      names = self._not_finite(found)
      if not names:
        self._in_a_row = 0
        continue
      self._in_a_row += 1
      skipped += 1
      if self._in_a_row > self._allowed:
        again = (
          f", and so were {self._in_a_row} steps in a row"
          if self._allowed
          else ""
        )
        # Batch n is what step n + 1 learns from.
        raise errors.RunError(
          f"The {' and the '.join(names)} at step {step} (batch {step - 1})"
          f"{again}"
        )
    return skipped

  def _not_finite(self, metrics: dict[str, Any]) -> list[str]:
    """Faults of a step, in words."""
    if "skipped" in metrics:
      return ["loss or grad_norm is not finite"] * int(metrics["skipped"][0])
    return [
      f"{name} is {metrics[name][0]}"
      for name in ("loss", "grad_norm")
      if not np.isfinite(metrics[name][0])
    ]

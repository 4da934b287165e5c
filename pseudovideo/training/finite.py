"""Stops at losses and gradients that are not finite, or leaves the step out."""

from typing import Any

import numpy as np

from pseudovideo import errors


class NonFiniteMonitor:
  """Looks at every step of a run, in order.

  Args:
    allowed: how many steps in a row may be left out; 0: none.
    in_a_row: how many were, up to the step that the run resumes from.
    in_all: how many were in all, up to there.
  """

  def __init__(self, allowed: int, in_a_row: int = 0, in_all: int = 0):
    self._allowed = allowed
    self.in_a_row = in_a_row
    self.in_all = in_all

  def is_left_out(self, step: int, metrics: dict[str, Any]) -> bool:
    """Looks at a step; returns whether it was left out.

    Args:
      step: number of updates done.
      metrics: the metrics of `steps.make_step`.

    Raises:
      RunError: the step was not finite, or too many in a row were not; the
        message is the beginning of a sentence that the caller completes.
    """
    names = self._not_finite(metrics)
    if not names:
      self.in_a_row = 0
      return False
    self.in_a_row += 1
    self.in_all += 1
    if self.in_a_row > self._allowed:
      again = f", and so were {self.in_a_row} steps in a row"
      # Batch n is what step n + 1 learns from.
      raise errors.RunError(
        f"The {' and the '.join(names)} at step {step} (batch {step - 1})"
        + (again if self._allowed else "")
      )
    return True

  def _not_finite(self, metrics: dict[str, Any]) -> list[str]:
    """Faults of a step, in words."""
    if "skipped" in metrics:
      words = "loss, grad_norm or an updated weight is not finite"
      return [words] * int(metrics["skipped"][0])
    return [
      f"{name} is {metrics[name][0]}"
      for name in ("loss", "grad_norm")
      if not np.isfinite(metrics[name][0])
    ]

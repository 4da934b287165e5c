"""The section `process` of a config: what is trained."""

import dataclasses

import numpy as np

from pseudovideo import errors
from pseudovideo.diffusion import schedules

VARIANCES = ("fixed_large", "fixed_small", "learned")
LOSSES = ("simple", "hybrid", "vlb")
TIMESTEPS = ("uniform", "loss_second_moment")
MAX_STEPS = 10**6


@dataclasses.dataclass(frozen=True)
class Process:
  """A diffusion process and the loss of its network.

  Attributes:
    schedule: `linear` or `cosine`, see `schedules`.
    steps: T, the number of steps.
    variance: of the reverse steps: `fixed_large` is beta_t, `fixed_small` the
      posterior variance, `learned` interpolates between their logarithms.
    loss: `simple` is the squared error of eps, `hybrid` adds the bound that
      trains the variance, `vlb` is the bound alone; see `objective`.
    rescale_learned_variance: whether the bound in `hybrid` has the factor
      steps / 1000; otherwise it is 1.
    timesteps: how training draws steps: `uniform` or `loss_second_moment`.
  """

  schedule: str = "linear"
  steps: int = 1000
  variance: str = "fixed_large"
  loss: str = "simple"
  rescale_learned_variance: bool = True
  timesteps: str = "uniform"

  def check(self) -> None:
    """Raises `UserError` for values that do not exist or do not go together."""
    for field, allowed in (
      ("schedule", schedules.TABLE),
      ("variance", VARIANCES),
      ("loss", LOSSES),
      ("timesteps", TIMESTEPS),
    ):
      if getattr(self, field) not in allowed:
        raise errors.unknown(f"process.{field}", getattr(self, field), allowed)
    if self.steps < 2:
      raise errors.UserError(
        f"process.steps must be at least 2; got {self.steps}."
      )
    if self.steps > MAX_STEPS:
      raise errors.UserError(
        f"process.steps must be at most {MAX_STEPS}; got {self.steps}."
      )
    if self.schedule == "linear" and self.steps <= 20:
      raise errors.UserError(
        "process.steps must be above 20 for the linear schedule, whose largest "
        f"beta is 20 / steps; got {self.steps}. The cosine schedule takes any."
      )
    if self.loss == "hybrid" and self.variance != "learned":
      raise errors.UserError(
        "process.loss 'hybrid' trains the variance and so needs "
        f"process.variance 'learned'; got {self.variance!r}."
      )
    if self.loss == "simple" and self.variance == "learned":
      raise errors.UserError(
        "process.variance 'learned' is not trained by process.loss 'simple'; "
        "choose process.loss 'hybrid' or 'vlb', or a fixed variance."
      )

  def betas(self) -> np.ndarray:
    """(steps,) float64 variances of the noise of each step."""
    return errors.look_up("process.schedule", self.schedule, schedules.TABLE)(
      self.steps
    )

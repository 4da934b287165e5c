"""The section `process` of a config: the diffusion process and its loss."""

import dataclasses
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Float64

from pseudovideo import errors
from pseudovideo.diffusion import schedules


@dataclasses.dataclass(frozen=True)
class Process:
  """A diffusion process and the loss of its network.

  Attributes:
    schedule: `linear` or `cosine`, see `schedules`.
    steps: T, the number of steps.
    variance: variance of the reverse steps: `fixed_large` is beta_t,
      `fixed_small` the posterior variance, `learned` interpolates between
      their logarithms.
    loss: `simple` is the squared error of eps, `hybrid` adds the bound that
      trains the variance, `vlb` is the bound alone; see `objective`.
    rescale_learned_variance: whether the bound in `hybrid` has the factor
      steps / 1000; otherwise it is 1.
    timesteps: how training draws steps: `uniform` or `loss_second_moment`.
  """

  schedule: schedules.Schedule = "linear"
  steps: Annotated[int, Ge(2), Le(10**6)] = 1000
  variance: Literal["fixed_large", "fixed_small", "learned"] = "fixed_large"
  loss: Literal["simple", "hybrid", "vlb"] = "simple"
  rescale_learned_variance: bool = True
  timesteps: Literal["uniform", "loss_second_moment"] = "uniform"

  def check(self) -> None:
    """Raises `UserError` for values that do not go together."""
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

  def betas(self) -> Float64[np.ndarray, " T"]:
    """The variances of the noise of each step."""
    return schedules.TABLE[self.schedule](self.steps)

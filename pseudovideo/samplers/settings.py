"""The section `sampler` of a config: how a trained diffusion is sampled."""

import dataclasses
from typing import Annotated

from annotated_types import Ge, Le

from pseudovideo.diffusion.chain import Chain
from pseudovideo.diffusion.process import Process
from pseudovideo.diffusion.respacing import kept_steps
from pseudovideo.errors import UserError, shown
from pseudovideo.samplers import diffusion


@dataclasses.dataclass(frozen=True)
class ChainSampler:
  """The section `sampler`; a trained run may be sampled with another.

  Attributes:
    method: `ancestral`, `ddim` or `dpm_solver`.
    respacing: the steps that are kept, see `diffusion.respacing`; one for all
      stages, or one per stage separated by "/", as in "50/50/10".
    eta: noise of `ddim`, in [0, 1].
  """

  method: diffusion.Method = "ancestral"
  respacing: str = ""
  eta: Annotated[float, Ge(0), Le(1)] = 0.0

  def check(self, steps: int, stages: int) -> None:
    """Refuses fields that do not fit the process or the schedule.

    Args:
      steps: number of steps of the process.
      stages: number of chains of one sample.

    Raises:
      UserError: names the field.
    """
    diffusion.check_method(self.method, self.eta)
    for respacing in self._per_stage(stages):
      kept_steps(respacing, steps)

  def chains(self, process: Process, stages: int) -> list[Chain]:
    """One chain per stage; stages of equal respacing share one object."""
    return [Chain.of(process, text) for text in self._per_stage(stages)]

  def network_evaluations(self, process: Process, stages: int) -> int:
    """The number of evaluations of the network for one sample."""
    return sum(len(chain) for chain in self.chains(process, stages))

  def _per_stage(self, stages: int) -> list[str]:
    texts = [text.strip() for text in self.respacing.split("/")]
    if len(texts) == 1:
      return texts * stages
    if len(texts) != stages:
      raise UserError(
        f"sampler.respacing {shown(self.respacing)} lists {len(texts)} stages, "
        f"but the schedule has {stages}; list one per stage, or one for all."
      )
    return texts


@dataclasses.dataclass(frozen=True)
class Sampler(ChainSampler):
  """The section `sampler` of tasks that draw pixels.

  Attributes:
    clip_pseudo_frames: whether the estimates of the pseudo frames are clamped
      to [-1, 1], as the estimates of the image always are.
  """

  clip_pseudo_frames: bool = True

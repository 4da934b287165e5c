"""Learning-rate schedules and the optimizer, from the config.

Where two networks play against each other, their parameters are two groups of
one tree, `DISCRIMINATOR` and the rest, each with an optimizer of its own. One
step updates both, from one evaluation of the loss, in which `stop_gradient`
holds the opponent of each fixed.
"""

import dataclasses
from typing import Literal

import optax

from pseudovideo import errors
from pseudovideo.fields import NotNegative, NotNegativeInt, Positive, Share

DISCRIMINATOR = "discriminator"


@dataclasses.dataclass(frozen=True)
class AdamConfig:
  """Section `discriminator_optimizer`: AdamW with clipping.

  Attributes:
    learning_rate: peak of the learning rate.
    schedule: `constant`, or `cosine` or `linear` decay to 0 at the last step.
    warmup_steps: linear growth from 0 before that.
    clip_norm: largest global norm of the gradient; 0 switches clipping off.
    weight_decay: decoupled weight decay.
    b1: decay of the first moment.
    b2: decay of the second moment.
    eps: added to the root of the second moment. It must be above 0: where a
      gradient is 0, as behind layers that start at 0, it is the divisor.
  """

  learning_rate: Positive = 1e-4
  schedule: Literal["constant", "cosine", "linear"] = "constant"
  warmup_steps: NotNegativeInt = 0
  clip_norm: NotNegative = 0.0
  weight_decay: NotNegative = 0.0
  b1: Share = 0.9
  b2: Share = 0.999
  eps: Positive = 1e-8

  section = "discriminator_optimizer"


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(AdamConfig):
  """Section `optimizer`: AdamW with clipping, and the moving average.

  Attributes:
    ema_decay: decay of the moving average of the parameters.
    ema_warmup: whether the decay is min(ema_decay, (1 + n) / (10 + n)) after n
      updates, so that short runs forget the initial weights.
  """

  ema_decay: Share = 0.9999
  ema_warmup: bool = False

  section = "optimizer"


def make_schedule(config: AdamConfig, steps: int) -> optax.Schedule:
  """The learning rate as a function of the number of updates done.

  Raises:
    UserError: the warm-up is longer than the run.
  """
  rate, warmup = config.learning_rate, config.warmup_steps
  if warmup and warmup >= steps:
    raise errors.UserError(
      f"{config.section}.warmup_steps must be smaller than train.steps; got "
      f"{warmup} and {steps}."
    )
  decays = {
    "constant": optax.constant_schedule(rate),
    "cosine": optax.cosine_decay_schedule(rate, steps - warmup),
    "linear": optax.linear_schedule(rate, 0.0, steps - warmup),
  }
  decay = decays[config.schedule]
  if not warmup:
    return decay
  return optax.join_schedules(
    [optax.linear_schedule(0.0, rate, warmup), decay], [warmup]
  )


def for_players(
  config: OptimizerConfig, steps: int, opponent: AdamConfig | None
) -> optax.GradientTransformation:
  """The optimizer of all parameters of a task.

  Args:
    config: settings for the parameters that are not the discriminator's.
    steps: length of the run, for schedules.
    opponent: settings for the parameters below `DISCRIMINATOR`; None for a task
      that has no discriminator.
  """
  own = make_optimizer(config, make_schedule(config, steps))
  if opponent is None:
    return own
  return optax.partition(
    {
      "own": own,
      DISCRIMINATOR: make_optimizer(opponent, make_schedule(opponent, steps)),
    },
    lambda params: {
      name: DISCRIMINATOR if name == DISCRIMINATOR else "own" for name in params
    },
  )


def make_optimizer(
  config: AdamConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
  """The optimizer: clipping by global norm (when asked for), then AdamW."""
  adam = optax.adamw(
    schedule,
    b1=config.b1,
    b2=config.b2,
    eps=config.eps,
    weight_decay=config.weight_decay,
  )
  if not config.clip_norm:
    return adam
  return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam)

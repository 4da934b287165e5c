"""Learning-rate schedules and the optimizer, from the config."""

import dataclasses

import optax

from pseudovideo import errors

SCHEDULES = ("constant", "cosine", "linear")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """Section `optimizer`: AdamW with clipping, and the moving average.

  Attributes:
    learning_rate: its peak.
    schedule: `constant`, or `cosine` or `linear` decay to 0 at the last step.
    warmup_steps: linear growth from 0 before that.
    clip_norm: largest global norm of the gradient; 0 switches clipping off.
    weight_decay: decoupled.
    b1: decay of the first moment.
    b2: decay of the second moment.
    eps: added to the root of the second moment.
    ema_decay: of the moving average of the parameters.
    ema_warmup: whether the decay is min(ema_decay, (1 + n) / (10 + n)) after n
      updates, so that short runs forget the initial weights.
  """

  learning_rate: float = 1e-4
  schedule: str = "constant"
  warmup_steps: int = 0
  clip_norm: float = 0.0
  weight_decay: float = 0.0
  b1: float = 0.9
  b2: float = 0.999
  eps: float = 1e-8
  ema_decay: float = 0.9999
  ema_warmup: bool = False

  def check(self) -> None:
    """Raises `UserError` for values outside their range."""
    if self.learning_rate <= 0:
      raise errors.UserError(
        f"optimizer.learning_rate must be positive; got {self.learning_rate}."
      )
    if self.schedule not in SCHEDULES:
      raise errors.unknown("optimizer.schedule", self.schedule, SCHEDULES)
    for name in ("b1", "b2", "ema_decay"):
      if not 0 <= getattr(self, name) < 1:
        raise errors.UserError(
          f"optimizer.{name} must lie in [0, 1); got {getattr(self, name)}."
        )
    for name in ("warmup_steps", "clip_norm", "weight_decay", "eps"):
      if getattr(self, name) < 0:
        raise errors.UserError(
          f"optimizer.{name} must not be negative; got {getattr(self, name)}."
        )


def make_schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
  """The learning rate as a function of the number of updates done.

  Raises:
    UserError: the warm-up is longer than the run.
  """
  rate, warmup = config.learning_rate, config.warmup_steps
  if warmup and warmup >= steps:
    raise errors.UserError(
      f"optimizer.warmup_steps must be smaller than train.steps; got {warmup} "
      f"and {steps}."
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


def make_optimizer(
  config: OptimizerConfig, schedule: optax.Schedule
) -> optax.GradientTransformation:
  """Clipping by global norm (when asked for), then AdamW."""
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

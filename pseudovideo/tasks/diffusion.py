"""Parts that the image and the video diffusion task share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pseudovideo import errors, keys
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import objective, timesteps
from pseudovideo.diffusion import process as processes
from pseudovideo.models import unet
from pseudovideo.samplers import settings
from pseudovideo.tasks import base

Predict = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array | None]]


class Frames(NamedTuple):
  """Weights of the frames in the average over a video.

  Attributes:
    weight: (B, W), weight of each frame.
    number: (B,), divisor of the weighted sum.
  """

  weight: jax.Array
  number: jax.Array


class Diffusion(base.Defaults):
  """The base of diffusion tasks; a subclass is a dataclass.

  Attributes:
    image_shape: (H, W, C) of a frame.
    model: the network.
    process: the chain and the loss.
    sampler: how frames are drawn.
  """

  image_shape: tuple[int, int, int]
  model: unet.UNet
  process: processes.Process
  sampler: settings.ChainSampler

  derived = ("out_channels",)

  @property
  def num_stages(self) -> int:
    """Number of chains that a sample is drawn by, one after another."""
    return 1

  @property
  def network_evaluations(self) -> int:
    return self.sampler.network_evaluations(self.process, self.num_stages)

  @property
  def network(self) -> Any:
    """The network, with twice the outputs per pixel for learned variances."""
    if self.process.variance == "learned":
      return self.model.clone(out_channels=2 * self.image_shape[-1])
    return self.model

  def check(self) -> None:
    """See `base.Task.check`."""
    unet.check(self.model, self.image_shape)
    if self.model.out_channels is not None:
      raise errors.UserError(
        "model.out_channels follows from the images and process.variance and "
        f"must be None; got {self.model.out_channels}."
      )
    self.process.check()
    self.sampler.check(self.process.steps, self.num_stages)

  def _predict(self, params, x, time, *args, **given):
    """The predicted noise, and the predicted variance where it is learned."""
    output = self.network.apply({"params": params}, x, time, *args, **given)
    if self.process.variance != "learned":
      return output, None
    return tuple(jnp.split(output, 2, axis=-1))


def initial_extra(process: processes.Process) -> base.Extra:
  """The state of the step sampler, if it has one."""
  if process.timesteps == "uniform":
    return {}
  return base.make_extra(state={"timesteps": timesteps.init(process.steps)})


def training_terms(
  process: processes.Process,
  extra: base.Extra,
  x0: jax.Array,
  predict: Predict,
  *,
  key: jax.Array,
  train: bool,
  frames: Frames | None = None,
) -> tuple[base.Terms, base.Extra, jax.Array]:
  """The loss of a batch at one random step per example.

  Args:
    process: names the loss and how steps are drawn.
    extra: what `initial_extra` returned, or a later state.
    x0: (B, H, W', C) or (B, W, H, W', C), in [-1, 1].
    predict: takes noisy x (B, ...) and time (B,), returns (eps, v).
    key: (B,) keys.
    train: whether losses guide the choice of steps; else it is uniform.
    frames: which frames of a video count; None for images.

  Returns:
    Terms, the new `extra`, and the error of eps, (B, ...).
  """
  chain = chains.Chain.of(process)
  guided = train and process.timesteps == "loss_second_moment"
  record = base.state_of(extra)["timesteps"] if guided else None
  k, weight = _draw_steps(process, record, keys.named(key, "timestep"))
  eps = keys.normal(keys.named(key, "noise"), x0.shape)
  x = chain.add_noise(x0, eps, k)
  prediction, v = predict(x, chain.time(k))
  values = {}
  for name, (value, coefficient) in objective.terms(
    process, chain, x0=x0, eps=eps, x=x, k=k, prediction=prediction, v=v
  ).items():
    mean = jnp.mean(value, axis=(-3, -2, -1))  # Over the pixels of a frame.
    if frames is not None:
      mean = jnp.sum(mean * frames.weight, axis=1) / frames.number
    values[name] = mean, coefficient
  if record is not None:
    losses = sum(value * c for value, c in values.values())
    record = timesteps.update(record, k, jnp.asarray(losses))
    extra = base.with_state(extra, timesteps=record)
  # The weights of importance sampling average to 1: no division by their sum.
  terms = {
    name: base.mean_term(value * weight, coefficient)
    for name, (value, coefficient) in values.items()
  }
  return terms, extra, prediction - eps


def _draw_steps(
  process: processes.Process, record: Any, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Draws a step k and its weight for each key; uniform without a record."""
  if record is None:
    return timesteps.draw_uniform(key, len(key), process.steps)
  return timesteps.draw(key, len(key), record)

"""What the image and the video diffusion task share."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pseudovideo import errors, keys
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import objective, timesteps
from pseudovideo.diffusion import process as processes
from pseudovideo.models import unet
from pseudovideo.tasks import base

Predict = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array | None]]


def check_network(
  model: unet.UNet,
  process: processes.Process,
  image_shape: tuple[int, int, int],
) -> None:
  """Refuses a network or process that cannot work.

  Raises:
    UserError: says which field, what it is, and what is allowed.
  """
  unet.check(model, image_shape)
  if model.out_channels is not None:
    raise errors.UserError(
      "model.out_channels follows from the images and process.variance and "
      f"must be None; got {model.out_channels}."
    )
  process.check()


def sized(
  model: unet.UNet, process: processes.Process, channels: int
) -> unet.UNet:
  """The network with 3 more outputs per pixel if variances are learned."""
  if process.variance == "learned":
    return model.clone(out_channels=2 * channels)
  return model


def split(
  output: jax.Array, process: processes.Process
) -> tuple[jax.Array, jax.Array | None]:
  """The network's output as (eps, v); v is None for fixed variances."""
  if process.variance == "learned":
    eps, v = jnp.split(output, 2, axis=-1)
    return eps, v
  return output, None


def initial_extra(process: processes.Process) -> base.Extra:
  """The state of the step sampler, if it has one."""
  if process.timesteps == "uniform":
    return {}
  return {"timesteps": timesteps.init(process.steps)}


def training_terms(
  process: processes.Process,
  extra: base.Extra,
  x0: jax.Array,
  predict: Predict,
  average: Callable[[jax.Array], jax.Array],
  *,
  key: jax.Array,
  train: bool,
) -> tuple[base.Terms, base.Extra, jax.Array]:
  """The loss of a batch at one random step per example.

  Args:
    process: names the loss and how steps are drawn.
    extra: of `initial_extra`.
    x0: (B, ...) in [-1, 1].
    predict: takes noisy x (B, ...) and time (B,), returns (eps, v).
    average: takes (B, ...) per-pixel values, returns (B,).
    key: (B,) keys.
    train: whether losses guide the choice of steps; else it is uniform.

  Returns:
    Terms, the new `extra`, and the error of eps, (B, ...).
  """
  chain = chains.Chain.of(process)
  num, draw_key = x0.shape[0], keys.named(key, "timestep")
  guided = train and process.timesteps == "loss_second_moment"
  if guided:
    k, weight = timesteps.draw(draw_key, num, extra["timesteps"])
  else:
    k, weight = timesteps.draw_uniform(draw_key, num, process.steps)
  eps = keys.normal(keys.named(key, "noise"), x0.shape)
  x = chain.add_noise(x0, eps, k)
  prediction, v = predict(x, chain.time(k))
  values = {
    name: (average(value), coefficient)
    for name, (value, coefficient) in objective.terms(
      process, chain, x0=x0, eps=eps, x=x, k=k, prediction=prediction, v=v
    ).items()
  }
  if guided:
    losses = sum(value * c for value, c in values.values())
    extra = {"timesteps": timesteps.update(extra["timesteps"], k, losses)}
  # The weights of importance sampling average to 1: no division by their sum.
  terms = {
    name: base.Term(value * weight, jnp.ones_like(value), coefficient)
    for name, (value, coefficient) in values.items()
  }
  return terms, extra, prediction - eps

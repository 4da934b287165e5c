"""Pairs of the two U-Nets of Sec. 4.2: an update, and one evaluation."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

from benchmarks import diffusion_step
from benchmarks.peers import ours, pairs, torch_training, torch_unets
from pseudovideo import convert, optimizers, shapes
from pseudovideo.models import unet, video_unet


class Case(NamedTuple):
  """One network on both sides, with the same weights and inputs.

  Attributes:
    ours: our network.
    peer: PyTorch's.
    batch: inputs of ours, with `noise`, which is to be predicted, and `weight`
      of each image or frame in the mean.
  """

  ours: unet.UNet
  peer: torch_unets.UNet
  batch: dict[str, np.ndarray]

  @property
  def params(self) -> dict[str, Any]:
    """Our parameters, which are the peer's."""
    return convert.to_flax(torch_training.arrays(self.peer), self.ours)


def make(name: str) -> dict[str, pairs.Pair]:
  """The pairs `update` and `denoise` of a row of `diffusion_step`."""
  row = diffusion_step.ROWS[name]
  return of_case(case(row.kind, batch=row.batch, channels=row.channels))


def case(kind: str, *, batch: int, side: int = 32, **fields: Any) -> Case:
  """Makes both networks and an input.

  Args:
    kind: `image`, or `video` with windows of 2 observed and 1 latent frame.
    batch: number of images or videos.
    side: side of the images.
    **fields: fields of both networks.
  """
  torch.manual_seed(0)
  rng = np.random.default_rng(0)
  if kind == "image":
    x = _normal(rng, batch, side, side, 3)
    inputs = {"x": x, "weight": np.ones(batch)}
    net, peer = unet.UNet(**fields), torch_unets.UNet(**fields)
  else:
    x = _normal(rng, batch, 3, side, side, 3)
    latent = np.array([[0, 0, 1]] * batch, np.float32)
    inputs = {
      "x": x,
      "x0": _normal(rng, *x.shape),
      "observed": 1 - latent,
      "latent": latent,
      "frame_indices": np.array([[1, 2, 3]] * batch, np.int32),
      "weight": latent,
    }
    net = video_unet.VideoUNet(**fields)
    peer = torch_unets.VideoUNet(**fields)
  inputs["weight"] = inputs["weight"].astype(np.float32)
  inputs["timesteps"] = rng.integers(0, 1000, batch).astype(np.float32)
  inputs["noise"] = _normal(rng, *x.shape)
  return Case(net, torch_training.shaken(peer), inputs)


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
  return rng.standard_normal(shape, np.float32)


def of_case(case: Case) -> dict[str, pairs.Pair]:
  """The pairs `update` and `denoise`, each checked."""
  return {"update": _update(case), "denoise": _denoise(case)}


def _apply(net: unet.UNet, params: Any, batch: dict[str, Any]) -> jax.Array:
  given = {k: v for k, v in batch.items() if k not in ("noise", "weight")}
  return net.apply({"params": params}, **given)


def _run(net: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
  given = {k: v for k, v in batch.items() if k not in ("noise", "weight")}
  return net(**given)


def torch_batch(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
  """The same inputs, channels in front of the pixels."""
  return {
    name: torch.from_numpy(
      np.ascontiguousarray(np.moveaxis(x, -1, -3)) if x.ndim > 3 else x
    )
    for name, x in batch.items()
  }


def _denoise(case: Case) -> pairs.Pair:
  batch = jax.device_put(case.batch)
  params = jax.device_put(case.params)
  apply = jax.jit(functools.partial(_apply, case.ours))
  theirs = torch_batch(case.batch)

  def evaluate() -> jax.Array:
    return apply(params, batch).block_until_ready()

  def peer(net: nn.Module) -> torch.Tensor:
    return _run(net, theirs)

  output = torch_training.inferred(peer, case.peer.eval())
  facts = pairs.equal(
    [evaluate()],
    [np.moveaxis(output.numpy(), -3, -1)],
    (shapes.count_parameters(params), torch_training.count(case.peer)),
  )
  return pairs.Pair(
    evaluate, torch_training.evaluations(case.peer, peer), facts
  )


def _update(case: Case) -> pairs.Pair:
  config = optimizers.OptimizerConfig()

  def our_loss(params: Any, batch: dict[str, Any]) -> jax.Array:
    error = jnp.square(_apply(case.ours, params, batch) - batch["noise"])
    return jnp.mean(jnp.mean(error, axis=(-3, -2, -1)) * batch["weight"])

  theirs = torch_batch(case.batch)

  def loss(net: nn.Module) -> torch.Tensor:
    error = (_run(net, theirs) - theirs["noise"]).square()
    return (error.mean(dim=(-3, -2, -1)) * theirs["weight"]).mean()

  ways = torch_training.updates(case.peer, loss, config)
  update = ours.Updates(
    ours.OfLoss(our_loss),
    case.params,
    case.batch,
    optimizers.make_optimizer(config, config.learning_rate),
    ema_decay=config.ema_decay,
  )
  facts = pairs.equal(
    *pairs.losses(update, next(iter(ways.values()))()),
    (update.parameters, torch_training.count(case.peer)),
  )
  return pairs.Pair(update, ways, facts)

"""How PyTorch trains and evaluates a network on a CPU, in several ways."""

import copy
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from pseudovideo import optimizers

FORMATS = ("contiguous", "channels_last")
ADAMS = {"foreach Adam": {"foreach": True}, "fused Adam": {"fused": True}}


def count(net: nn.Module) -> int:
  """The number of parameters."""
  return sum(x.numel() for x in net.parameters())


def shaken(net: nn.Module) -> nn.Module:
  """Adds noise to scales and biases, some of which start at 1 or 0."""
  with torch.no_grad():
    for x in net.parameters():
      if x.ndim == 1:
        x += 0.1 * torch.randn_like(x)
  return net


def arrays(net: nn.Module) -> dict[str, np.ndarray]:
  """The state dict in PyTorch's layouts."""
  return {name: x.numpy() for name, x in net.state_dict().items()}


def formatted(net: nn.Module, name: str) -> nn.Module:
  """A copy of the network, its kernels in a memory format of `FORMATS`.

  What a convolution returns has the format of its kernel.
  """
  net = copy.deepcopy(net)
  if name == "channels_last":
    kinds = {4: torch.channels_last, 5: torch.channels_last_3d}
    for x in net.parameters():
      if x.ndim in kinds:
        x.data = x.data.contiguous(memory_format=kinds[x.ndim])
  return net


def ways(
  prepare: Callable[[str, Mapping[str, bool]], Callable[[], float]],
) -> dict[str, Callable[[], Callable[[], float]]]:
  """The ways to update: each memory format with each Adam.

  Args:
    prepare: from a name of `FORMATS` and arguments of Adam to an update.

  Returns:
    Name -> function that prepares an update.
  """
  return {
    f"{layout}, {adam}": functools.partial(prepare, layout, ADAMS[adam])
    for layout, adam in itertools.product(FORMATS, ADAMS)
  }


def updates(
  net: nn.Module,
  loss: Callable[[nn.Module], torch.Tensor],
  config: optimizers.OptimizerConfig,
) -> dict[str, Callable[[], Callable[[], float]]]:
  """Ways to update copies of a network, by a scalar loss of the network."""
  return ways(functools.partial(_prepared, net, loss, config))


def _prepared(
  net: nn.Module,
  loss: Callable[[nn.Module], torch.Tensor],
  config: optimizers.OptimizerConfig,
  layout: str,
  adam: Mapping[str, bool],
) -> Callable[[], float]:
  """A function that updates a copy and returns the loss before."""
  net = formatted(net, layout).train()
  parameters = list(net.parameters())
  average = [x.detach().clone() for x in parameters]
  optimizer = adamw(parameters, config, adam)

  def update() -> float:
    optimizer.zero_grad(set_to_none=True)
    value = loss(net)
    value.backward()
    clip(parameters, config)
    optimizer.step()
    average_in(average, parameters, config.ema_decay)
    return value.item()

  return update


def adamw(
  parameters: Iterable[nn.Parameter],
  config: optimizers.AdamConfig,
  how: Mapping[str, bool],
) -> torch.optim.Optimizer:
  """The optimizer with the settings of ours, which has no schedule."""
  return torch.optim.AdamW(
    parameters,
    lr=config.learning_rate,
    betas=(config.b1, config.b2),
    eps=config.eps,
    weight_decay=config.weight_decay,
    **how,
  )


def clip(parameters: list[nn.Parameter], config: optimizers.AdamConfig) -> None:
  """Clips the gradient by its global norm, if that is asked for."""
  if config.clip_norm:
    nn.utils.clip_grad_norm_(parameters, config.clip_norm)


def average_in(
  average: list[torch.Tensor], parameters: list[nn.Parameter], decay: float
) -> None:
  """Updates the moving average in place; with a decay of 0 there is none."""
  if decay:
    with torch.no_grad():
      torch._foreach_lerp_(average, parameters, 1 - decay)


def evaluations(
  net: nn.Module,
  run: Callable[[nn.Module], Any],
  formats: Iterable[str] = FORMATS,
) -> dict[str, Callable[[], Callable[[], Any]]]:
  """Ways to run a network without gradients; each works on a copy of it.

  Args:
    net: the network.
    run: what is done with it.
    formats: memory formats to try.

  Returns:
    Name -> function that prepares a call.
  """

  def prepared(layout: str) -> Callable[[], Any]:
    fast = formatted(net, layout).eval()
    return lambda: inferred(run, fast)

  return {name: functools.partial(prepared, name) for name in formats}


@torch.inference_mode()
def inferred(run: Callable[[nn.Module], Any], net: nn.Module) -> Any:
  """The result of `run`, without what gradients need."""
  return run(net)

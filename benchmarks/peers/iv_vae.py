"""The pair of IV-VAE: a clip is encoded, and the means are decoded."""

import copy
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch

from benchmarks import memory, video_vae
from benchmarks.peers import pairs, torch_iv_vae, torch_training
from pseudovideo import convert, shapes
from pseudovideo.models.video_vae import iv_vae


def make() -> dict[str, pairs.Pair]:
  """The pair `reconstruct`, the row `authors` of `video_vae`."""
  net, clip = video_vae.ROWS["authors"]
  torch.manual_seed(0)
  peer = torch_iv_vae.IVVAE(net.base, net.latent_channels)
  return {"reconstruct": pair(net, peer, clip)}


def pair(
  net: iv_vae.IVVAE, peer: torch_iv_vae.IVVAE, clip: tuple[int, ...]
) -> pairs.Pair:
  """Checks both networks on one clip; on Linux with the memory of a call.

  Args:
    net: ours.
    peer: the same in PyTorch, whose weights ours gets.
    clip: (T, H, W, C).

  Returns:
    The pair, with the most that a call adds to the resident memory.
  """
  x = np.random.default_rng(0).uniform(-1, 1, (1, *clip)).astype(np.float32)
  params = jax.device_put(convert.to_flax(torch_training.arrays(peer), net))
  video, apply = jax.device_put(x), jax.jit(net.apply)
  theirs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 2)))

  def ours() -> jax.Array:
    return apply({"params": params}, video).block_until_ready()

  output = torch_training.inferred(lambda net: net(theirs), peer.eval())
  facts = pairs.equal(
    [ours()],
    [np.moveaxis(output.numpy(), 2, -1)],
    (shapes.count_parameters(params), torch_training.count(peer)),
  )
  return pairs.Pair(ours, ways(peer, theirs), facts, memory=memory.added_mb)


def ways(
  net: torch_iv_vae.IVVAE, video: torch.Tensor
) -> dict[str, Callable[[], Callable[[], Any]]]:
  """Memory formats, and convolutions over time as such or over channels."""
  found = {}
  for as_channels in (False, True):
    changed = copy.deepcopy(net)
    for module in changed.modules():
      if isinstance(module, torch_iv_vae.GroupCausal):
        module.frames_as_channels = as_channels
    kind = "frames as channels" if as_channels else "conv3d"
    found |= {
      f"{kind}, {layout}": prepare
      for layout, prepare in torch_training.evaluations(
        changed, lambda net: net(video)
      ).items()
    }
  return found

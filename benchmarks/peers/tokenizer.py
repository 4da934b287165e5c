"""The pairs of the tokenizer of 8 frames: an update, and one with both players.

The peer is phenaki-pytorch's CViViT. It takes 1 + 2 n frames, the first alone;
as for the paper, all frames go through the layer of its tubelets here, and it
is called part by part. Three things of it are kept or set so that both compute
the same: its convolutions over time that read the axes in a wrong order (ours
have an option for it), a codebook with the gradient of the paper, straight
through, and its discriminator, which sees the last frame.
"""

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch
import torch.nn.functional as F
from phenaki_pytorch import cvivit
from torch import nn
from vector_quantize_pytorch import VectorQuantize

from benchmarks import tokenizer_step
from benchmarks.peers import ours, pairs, phenaki_weights, torch_training
from configs import tokenizer as configs
from pseudovideo import optimizers
from pseudovideo.config import parsing
from pseudovideo.tasks import base, video_tokenizer

FRAMES = 8
SIDE = 32
PENALTY = 10


class OfVideos(video_tokenizer.VideoTokenizer):
  """Our task, given videos instead of images."""

  def pseudo_video(self, params, extra, images, *, key):
    """Returns the videos that were given as images."""
    del params, extra, key
    return images


class Tubelets(cvivit.CViViT):
  """CViViT without a first frame of its own; `discr` only if adversarial."""

  def __init__(self, adversarial: bool, codes: int, **sizes: Any):
    super().__init__(
      codebook_size=codes,
      temporal_patch_size=2,
      use_vgg_and_gan=False,
      lookup_free_quantization=False,
      **sizes,
    )
    del self.to_patch_emb_first_frame, self.to_pixels_first_frame
    self.vq = VectorQuantize(
      sizes["dim"], codes, use_cosine_sim=True, rotation_trick=False
    )
    if adversarial:
      # Its first block is four times as wide as this number.
      self.discr = cvivit.Discriminator(dim=16, image_size=self.image_size)

  def latents(self, video: torch.Tensor) -> torch.Tensor:
    """(B, C, T, H, W) -> (B, t, h, w, D)."""
    return self.encode(self.to_patch_emb(video))

  def pixels(self, codes: torch.Tensor) -> torch.Tensor:
    """(B, t, h, w, D) -> (B, C, T, H, W)."""
    b, t, h, w, d = shape = codes.shape
    bias = self.spatial_rel_pos_bias(h, w)
    x = codes.permute(0, 2, 3, 1, 4).reshape(b * h * w, t, d)
    x = self.dec_temporal_transformer(x, video_shape=tuple(shape[:-1]))
    x = x.reshape(b, h, w, t, d).permute(0, 3, 1, 2, 4)
    x = x.reshape(b * t, h * w, d)
    x = self.dec_spatial_transformer(
      x, attn_bias=bias, video_shape=tuple(shape[:-1])
    )
    return self.to_pixels(x.reshape(shape))

  def forward(self, video: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The reconstruction and the commitment; codes move while training."""
    latents = self.latents(video)
    codes, _, commitment = self.vq(latents.flatten(1, 3))
    return self.pixels(codes.reshape(latents.shape)), commitment.sum()


def make(adversarial: bool) -> dict[str, pairs.Pair]:
  """The pair `update` of the sizes of Table 7."""
  raw = raw_config(adversarial)
  return {"update": pair(raw, SIDE)}


def raw_config(adversarial: bool) -> Any:
  """The config as published, with the peculiarities that the peer has."""
  raw = configs.get_config(
    f"dataset=cifar10,frames={FRAMES},recipe=as_published,preset=paper"
  )
  raw.task.update(dict(adversarial=adversarial, judged_frame="last"))
  raw.model.scrambled_peg = True
  raw.optimizer.schedule = raw.discriminator_optimizer.schedule = "constant"
  return raw


def pair(raw: Any, side: int) -> pairs.Pair:
  """Checks both on a random batch.

  Args:
    raw: the config.
    side: side of the images.
  """
  torch.manual_seed(0)
  config = parsing.parse(raw)
  task = config.make_task((side, side, 3))
  rng = np.random.default_rng(0)
  video = rng.uniform(
    0, 1, (tokenizer_step.BATCH, FRAMES, side, side, 3)
  ).astype(np.float32)
  model = task.model
  peer = Tubelets(
    task.adversarial,
    task.num_codes,
    dim=model.width,
    image_size=side,
    patch_size=model.patch[1:],
    spatial_depth=model.spatial_layers,
    temporal_depth=model.temporal_layers,
    dim_head=model.head_width,
    heads=model.heads,
  )
  torch_training.shaken(peer)
  params, extra = weights(task, peer)
  theirs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(video, -1, 1)))
  opponent = base.discriminator_optimizer(task)
  ways = updates(peer, theirs, config.optimizer, opponent)
  update = ours.Updates(
    OfVideos(**vars(task)),
    params,
    {"image": video},
    optimizers.for_players(config.optimizer, config.train.steps, opponent),
    ema_decay=config.optimizer.ema_decay,
    extra=extra,
  )
  autoencoded = torch_training.inferred(
    lambda net: net.pixels(net.latents(theirs)), copy.deepcopy(peer).eval()
  )
  mine, other = pairs.losses(update, next(iter(ways.values()))())
  facts = pairs.equal(
    [*mine, jax.jit(model.apply)({"params": params["network"]}, video)],
    [*other, np.moveaxis(autoencoded.numpy(), 1, -1)],
    (update.parameters, torch_training.count(peer)),
  )
  return pairs.Pair(update, ways, facts)


def weights(task: Any, peer: Tubelets) -> tuple[Any, Any]:
  """Our parameters and state from the peer's."""
  model = task.model
  arrays = torch_training.arrays(peer)
  depth = model.spatial_layers, model.temporal_layers
  params = {"network": phenaki_weights.tokenizer(arrays, depth)}
  if task.adversarial:
    params[optimizers.DISCRIMINATOR] = phenaki_weights.discriminator(
      torch_training.arrays(peer.discr),
      blocks=len(peer.discr.blocks),
      attention=[x is not None for x in peer.discr.attn_blocks].index(True),
    )
  codebook = arrays["vq._codebook.embed"][0]
  codes = {
    "codebook": codebook,
    "counts": np.ones(len(codebook), np.float32),
    "sums": codebook.copy(),
  }
  return params, base.make_extra(state={"quantizer": codes})


def updates(
  peer: Tubelets,
  video: torch.Tensor,
  config: optimizers.OptimizerConfig,
  opponent: optimizers.AdamConfig | None,
) -> dict[str, Callable[[], Callable[[], float]]]:
  """Ways to update the peer: one network, or both players."""
  if opponent is not None:
    settings = config, opponent
    return torch_training.ways(
      functools.partial(_both_players, peer, video, settings)
    )

  def loss(net: nn.Module) -> torch.Tensor:
    made, commitment = net(video)
    return F.mse_loss(made, video) + commitment

  return torch_training.updates(peer, loss, config)


def _both_players(
  peer: Tubelets,
  video: torch.Tensor,
  settings: tuple[optimizers.AdamConfig, optimizers.AdamConfig],
  layout: str,
  adam: Mapping[str, bool],
) -> Callable[[], float]:
  """Prepares an update of the network, and then of its discriminator."""
  net = torch_training.formatted(peer, layout).train()
  judge = list(net.discr.parameters())
  own = [
    x for name, x in net.named_parameters() if not name.startswith("discr.")
  ]
  optimizer, opponent = (
    torch_training.adamw(parameters, setting, adam)
    for parameters, setting in zip((own, judge), settings, strict=True)
  )

  def update() -> float:
    optimizer.zero_grad(set_to_none=True)
    opponent.zero_grad(set_to_none=True)
    made, commitment = net(video)
    squared = F.mse_loss(made, video)
    fake = made[:, :, -1]
    fooling = -net.discr(fake).mean()
    weight = adaptive_weight(squared, fooling, net.to_pixels[0].weight)
    loss = squared + commitment + weight * fooling
    loss.backward(inputs=own)
    judging = discriminator_loss(net.discr, video[:, :, -1], fake.detach())
    judging.backward(inputs=judge)
    torch_training.clip(own, settings[0])
    optimizer.step()
    opponent.step()
    return loss.item() + judging.item()

  return update


def adaptive_weight(
  numerator: torch.Tensor, fooling: torch.Tensor, kernel: torch.Tensor
) -> torch.Tensor:
  """The weight at which both losses pull the last kernel equally."""
  norms = [
    torch.autograd.grad(loss, kernel, retain_graph=True)[0].norm()
    for loss in (numerator, fooling)
  ]
  return (norms[0] / (norms[1] + 1e-8)).clamp(max=1e4).detach()


def discriminator_loss(
  judge: nn.Module, real: torch.Tensor, fake: torch.Tensor
) -> torch.Tensor:
  """The hinges and the gradient penalty at real images (B, C, H, W)."""
  real = real.detach().requires_grad_()
  true = judge(real)
  hinges = F.relu(1 + judge(fake)) + F.relu(1 - true)
  slopes = torch.autograd.grad(true.sum(), real, create_graph=True)[0]
  penalty = (slopes.flatten(1).norm(dim=1) - 1).square()
  return hinges.mean() + PENALTY * penalty.mean()

"""The two U-Nets in PyTorch, equal to ours, with the names of published ones.

`UNet` is improved DDPM's (Nichol & Dhariwal 2021), `VideoUNet` flexible video
diffusion's (Harvey et al. 2022). Images are (B, C, H, W) in either memory
format. Layers that start at zero elsewhere have PyTorch's random weights here,
so that outputs can be compared.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

GROUPS = 32


class Frames(NamedTuple):
  """Frames of a batch of videos, for attention over time.

  Attributes:
    positions: (B, T, T, 3), functions of the distance between two frames.
    apart: (B, T, T), True where frame i may not see frame j.
    embedding: (B, E), the embedded diffusion time of each video.
  """

  positions: torch.Tensor
  apart: torch.Tensor
  embedding: torch.Tensor


class Context(NamedTuple):
  """Inputs of the layers that need more than an image.

  Attributes:
    embedding: (N, E), after a SiLU; N are images or the frames of all videos.
    frames: None for images.
  """

  embedding: torch.Tensor
  frames: Frames | None = None


def time_features(timesteps: torch.Tensor, width: int) -> torch.Tensor:
  """(B,) -> (B, width): all cosines, then all sines."""
  half = width // 2
  steps = torch.arange(half, dtype=torch.float32)
  frequencies = torch.exp(-math.log(10000) / half * steps)
  angles = timesteps[:, None].float() * frequencies[None]
  return torch.cat([angles.cos(), angles.sin()], dim=1)


def pixels_last(x: torch.Tensor) -> torch.Tensor:
  """(N, C, H, W) -> (N, H W, C), without a copy in channels_last."""
  return x.flatten(2).transpose(1, 2)


def pixels_first(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
  """(N, H W, C) -> the shape (N, C, H, W) and the memory format of `like`."""
  x = tokens.transpose(1, 2).reshape(like.shape)
  if like.is_contiguous(memory_format=torch.channels_last):
    return x
  return x.contiguous()


class Steps(nn.Sequential):
  """Layers in a row, each of which gets the context if it takes one."""

  def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
    for layer in self:
      x = layer(x) if isinstance(layer, nn.Conv2d) else layer(x, context)
    return x


class Residual(nn.Module):
  """Norm, SiLU, conv; norm moved by time, SiLU, conv; plus the skip."""

  def __init__(self, inputs: int, outputs: int, embedding: int):
    super().__init__()
    self.in_layers = nn.Sequential(
      nn.GroupNorm(GROUPS, inputs),
      nn.SiLU(),
      nn.Conv2d(inputs, outputs, 3, padding=1),
    )
    # The SiLU in front is the same for all blocks, and done once.
    self.emb_layers = nn.Sequential(
      nn.Identity(), nn.Linear(embedding, 2 * outputs)
    )
    self.out_layers = nn.Sequential(
      nn.GroupNorm(GROUPS, outputs),
      nn.SiLU(),
      nn.Identity(),
      nn.Conv2d(outputs, outputs, 3, padding=1),
    )
    self.skip_connection = (
      nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
    )

  def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
    h = self.in_layers(x)
    time = self.emb_layers(context.embedding)[:, :, None, None]
    scale, shift = time.chunk(2, dim=1)
    h = self.out_layers[0](h) * (1 + scale) + shift
    return self.skip_connection(x) + self.out_layers[1:](h)


class Attention(nn.Module):
  """Attention over pixels; channels of `qkv` are ordered by head first."""

  def __init__(self, channels: int, heads: int):
    super().__init__()
    self.heads = heads
    self.norm = nn.GroupNorm(GROUPS, channels)
    self.qkv = nn.Conv1d(channels, 3 * channels, 1)
    self.proj_out = nn.Conv1d(channels, channels, 1)

  def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
    del context
    h = pixels_last(self.norm(x))
    n, places, c = h.shape
    qkv = F.linear(h, self.qkv.weight[:, :, 0], self.qkv.bias)
    qkv = qkv.reshape(n, places, self.heads, 3, c // self.heads)
    q, k, v = (part.transpose(1, 2) for part in qkv.unbind(3))
    h = F.scaled_dot_product_attention(q, k, v)
    h = h.transpose(1, 2).reshape(n, places, c)
    h = F.linear(h, self.proj_out.weight[:, :, 0], self.proj_out.bias)
    return x + pixels_first(h, x)


class SpatialAttention(nn.Module):
  """Attention over the pixels of each frame, added to the normalised frame."""

  def __init__(self, channels: int, heads: int):
    super().__init__()
    self.heads = heads
    self.norm = nn.GroupNorm(GROUPS, channels)
    self.qkv = nn.Linear(channels, 3 * channels)
    self.proj_out = nn.Linear(channels, channels)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    normed = pixels_last(self.norm(x))
    n, places, c = normed.shape
    qkv = self.qkv(normed).reshape(n, places, 3, self.heads, c // self.heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    h = F.scaled_dot_product_attention(q, k, v)
    h = self.proj_out(h.transpose(1, 2).reshape(n, places, c))
    return pixels_first(normed + h, x)


class Distances(nn.Module):
  """Linear(SiLU(Linear(positions) + Linear(time))) for each pair of frames."""

  def __init__(self, channels: int, heads: int, embedding: int):
    super().__init__()
    self.heads = heads
    self.rpe_net = nn.ModuleDict(
      {
        "embed_distances": nn.Linear(3, channels),
        "embed_diffusion_time": nn.Linear(embedding, channels),
        "out": nn.Linear(channels, channels),
      }
    )

  def forward(self, frames: Frames) -> torch.Tensor:
    """Vectors (B, T, T, heads, C / heads)."""
    net = self.rpe_net
    time = net["embed_diffusion_time"](frames.embedding)[:, None, None]
    h = net["out"](F.silu(net["embed_distances"](frames.positions) + time))
    return h.unflatten(-1, (self.heads, -1))


class TemporalAttention(nn.Module):
  """Attention of each pixel over the frames, with relative positions."""

  def __init__(self, channels: int, heads: int, embedding: int):
    super().__init__()
    self.heads = heads
    self.norm = nn.GroupNorm(GROUPS, channels)
    self.qkv = nn.Linear(channels, 3 * channels)
    self.proj_out = nn.Linear(channels, channels)
    self.rpe_q = Distances(channels, heads, embedding)
    self.rpe_k = Distances(channels, heads, embedding)
    self.rpe_v = Distances(channels, heads, embedding)

  def forward(self, x: torch.Tensor, frames: Frames) -> torch.Tensor:
    b, t = frames.positions.shape[:2]
    c, places = x.shape[1], x.shape[2] * x.shape[3]
    # (B T, C, H, W) -> (B H W, C, T), whose statistics are of each pixel.
    h = pixels_last(x).reshape(b, t, places, c).permute(0, 2, 3, 1)
    normed = self.norm(h.reshape(b * places, c, t)).transpose(1, 2)
    qkv = self.qkv(normed).reshape(b, places, t, 3, self.heads, -1)
    q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)  # (B, P, heads, T, c)
    scale = q.shape[-1] ** -0.5
    q = q * scale
    r_q, r_k, r_v = (
      net(frames) for net in (self.rpe_q, self.rpe_k, self.rpe_v)
    )
    logits = (
      q @ k.transpose(-1, -2)
      + torch.einsum("bpnic,bijnc->bpnij", q, r_k)
      + torch.einsum("bpnjc,bjinc->bpnij", k * scale, r_q)
    )
    apart = frames.apart[:, None, None]
    weights = logits.masked_fill(apart, -math.inf).softmax(-1)
    h = weights @ v + torch.einsum("bpnij,bijnc->bpnic", weights, r_v)
    h = h.transpose(2, 3).reshape(b * places, t, c)
    h = (normed + self.proj_out(h)).reshape(b, places, t, c)
    return pixels_first(h.transpose(1, 2).reshape(b * t, places, c), x)


class VideoAttention(nn.Module):
  """Attention over frames, then over pixels."""

  def __init__(self, channels: int, heads: int, embedding: int):
    super().__init__()
    self.temporal_attention = TemporalAttention(channels, heads, embedding)
    self.spatial_attention = SpatialAttention(channels, heads)

  def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
    if context.frames is None:
      raise ValueError("Attention over frames needs Context.frames.")
    return self.spatial_attention(self.temporal_attention(x, context.frames))


class Down(nn.Module):
  """3x3 convolution with stride 2."""

  def __init__(self, channels: int):
    super().__init__()
    self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

  def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
    del context
    return self.op(x)


class Up(nn.Module):
  """Nearest-neighbour doubling, then a 3x3 convolution."""

  def __init__(self, channels: int):
    super().__init__()
    self.conv = nn.Conv2d(channels, channels, 3, padding=1)

  def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
    del context
    return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class UNet(nn.Module):
  """The image network.

  Attributes:
    inputs: channels beside those of the images.
  """

  inputs = 0

  def __init__(
    self,
    channels: int = 128,
    multipliers: tuple[int, ...] = (1, 2, 2, 2),
    blocks: int = 2,
    attention: tuple[int, ...] = (1, 2),
    heads: int = 4,
    image_channels: int = 3,
  ):
    super().__init__()
    self.channels, self.heads = channels, heads
    e = 4 * channels
    self.time_embed = nn.Sequential(
      nn.Linear(channels, e), nn.SiLU(), nn.Linear(e, e)
    )
    widths = [channels * m for m in multipliers]
    last = len(widths) - 1
    stem = nn.Conv2d(image_channels + self.inputs, channels, 3, padding=1)
    self.input_blocks = nn.ModuleList([Steps(stem)])
    skips, width = [channels], channels

    def block(inputs: int, level: int) -> list[nn.Module]:
      found: list[nn.Module] = [Residual(inputs, widths[level], e)]
      if level in attention:
        found.append(self.attend(widths[level]))
      return found

    for level in range(last + 1):
      for _ in range(blocks):
        self.input_blocks.append(Steps(*block(width, level)))
        width = widths[level]
        skips.append(width)
      if level < last:
        self.input_blocks.append(Steps(Down(width)))
        skips.append(width)
    self.middle_block = Steps(
      Residual(width, width, e), self.attend(width), Residual(width, width, e)
    )
    self.output_blocks = nn.ModuleList()
    for level in reversed(range(last + 1)):
      for i in range(blocks + 1):
        layers = block(width + skips.pop(), level)
        width = widths[level]
        if level > 0 and i == blocks:
          layers.append(Up(width))
        self.output_blocks.append(Steps(*layers))
    self.out = nn.Sequential(
      nn.GroupNorm(GROUPS, width),
      nn.SiLU(),
      nn.Conv2d(width, image_channels, 3, padding=1),
    )

  def attend(self, channels: int) -> nn.Module:
    """The attention of one place."""
    return Attention(channels, self.heads)

  def embed(self, timesteps: torch.Tensor) -> torch.Tensor:
    """(B,) -> (B, 4 C)."""
    return self.time_embed(time_features(timesteps, self.channels))

  def torso(self, x: torch.Tensor, context: Context) -> torch.Tensor:
    """All but the embedding of time: (N, C, H, W) -> the same shape."""
    skips = []
    for block in self.input_blocks:
      x = block(x, context)
      skips.append(x)
    x = self.middle_block(x, context)
    for block in self.output_blocks:
      x = block(torch.cat([x, skips.pop()], dim=1), context)
    return self.out(x)

  def forward(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W), (B,) -> (B, C, H, W)."""
    return self.torso(x, Context(F.silu(self.embed(timesteps))))


class VideoUNet(UNet):
  """The video network."""

  inputs = 1

  def attend(self, channels: int) -> nn.Module:
    """The attention of one place."""
    return VideoAttention(channels, self.heads, 4 * self.channels)

  def forward(  # type: ignore[override]  # a video has more inputs
    self,
    x: torch.Tensor,
    timesteps: torch.Tensor,
    *,
    x0: torch.Tensor,
    observed: torch.Tensor,
    latent: torch.Tensor,
    frame_indices: torch.Tensor,
  ) -> torch.Tensor:
    """Runs the network.

    Args:
      x: (B, T, C, H, W), the noisy frames.
      timesteps: (B,).
      x0: (B, T, C, H, W), the clean frames.
      observed: (B, T), 1 where a frame is given.
      latent: (B, T), 1 where a frame is to be generated.
      frame_indices: (B, T) integers.

    Returns:
      (B, T, C, H, W).
    """
    b, t = x.shape[:2]
    embedding = self.embed(timesteps)
    real = observed + latent > 0
    apart = real[:, :, None] != real[:, None, :]
    index = frame_indices.float()
    d = index[:, :, None] - index[:, None, :]
    positions = torch.stack(
      [d.clamp(min=0).log1p(), (-d).clamp(min=0).log1p(), (d == 0).float()], -1
    )
    given = (observed > 0)[:, :, None, None, None]
    h = torch.where(given, x0, x)
    flags = given.float().expand(b, t, 1, *x.shape[3:])
    h = torch.cat([h, flags], dim=2).flatten(0, 1)
    context = Context(
      F.silu(embedding).repeat_interleave(t, dim=0),
      Frames(positions, apart, embedding),
    )
    return self.torso(h, context).unflatten(0, (b, t))

"""IV-VAE in PyTorch, equal to ours, with the names of the published network.

It follows "Improved video VAE for latent video diffusion model" (Wu et al.
2024). Videos are (B, T, C, H, W); the first half of the channels is the key
branch, the second the motion branch. A clip is given whole, so that nothing is
cached.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

MULTIPLIERS = (1, 2, 4, 4)


def per_frame(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
  """A layer of images, on the frames of (B, T, C, H, W)."""
  return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def frames_of(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
  """A layer of videos (B, C, T, H, W), on (B, T, C, H, W)."""
  return layer(x.transpose(1, 2)).transpose(1, 2)


class Norm(nn.Module):
  """Length sqrt(C) over the channels of each branch, times gamma."""

  def __init__(self, channels: int, branches: int, axes: int):
    super().__init__()
    self.branches = branches
    self.gamma = nn.Parameter(torch.rand(channels, *[1] * axes) + 0.5)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """(B, T, C, H, W) -> the same shape."""
    parts = F.normalize(x.unflatten(2, (self.branches, -1)), dim=3)
    scale = self.gamma.reshape(-1, 1, 1) * math.sqrt(parts.shape[3])
    return parts.flatten(2, 3) * scale


class GroupCausal(nn.Conv3d):
  """A 3x3x3 convolution that sees no frame of a later group.

  Attributes:
    frames_as_channels: whether to run it as one over images, of the channels of
      three frames.
  """

  frames_as_channels = False

  def __init__(self, inputs: int, outputs: int, group: int):
    super().__init__(inputs, outputs, 3, padding=(0, 1, 1))
    self.group = group

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """(B, T, C, H, W), frame 0 and whole groups -> (B, T, C', H, W)."""
    return self._images(x) if self.frames_as_channels else self._video(x)

  def _video(self, x: torch.Tensor) -> torch.Tensor:
    b, t, *image = x.shape
    zeros = torch.zeros_like(x[:, :1])
    first = torch.cat([x[:, :1], x[:, :1], zeros], dim=1)
    found = [frames_of(super().forward, first)]
    if t > 1:
      # One group after the other, with the frame before and zeros behind.
      groups = x[:, 1:].reshape(b, -1, self.group, *image)
      before = x[:, : t - 1 : self.group, None]
      behind = torch.zeros_like(before)
      whole = torch.cat([before, groups, behind], dim=2).flatten(0, 1)
      later = frames_of(super().forward, whole)
      found.append(later.reshape(b, t - 1, *later.shape[2:]))
    return torch.cat(found, dim=1)

  def _images(self, x: torch.Tensor) -> torch.Tensor:
    t = x.shape[1]
    ahead = torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], dim=1)
    ahead[:, [i for i in range(t) if i % self.group == 0]] = 0
    seen = torch.cat([torch.cat([x[:, :1], x[:, :-1]], dim=1), x, ahead], 2)
    kernel = self.weight.transpose(1, 2).flatten(1, 2)
    h = F.conv2d(seen.flatten(0, 1), kernel, self.bias, padding=1)
    return h.unflatten(0, x.shape[:2])


class Unit(nn.Module):
  """A convolution for each branch, of all channels; one where groups end."""

  def __init__(self, inputs: int, outputs: int, group: int):
    super().__init__()
    self.shared = group == 1
    if self.shared:
      self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    else:
      self.conv_2d = nn.Conv2d(inputs, outputs // 2, 3, padding=1)
      self.conv_3d = GroupCausal(inputs, outputs // 2, group)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    if self.shared:
      return per_frame(self.conv, x)
    return torch.cat([per_frame(self.conv_2d, x), self.conv_3d(x)], dim=2)


class Pointwise(nn.Module):
  """A 1x1 convolution for each branch, of all channels."""

  def __init__(self, inputs: int, outputs: int):
    super().__init__()
    self.conv_2d = nn.Conv2d(inputs, outputs // 2, 1)
    self.conv_3d = nn.Conv3d(inputs, outputs // 2, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    parts = [per_frame(self.conv_2d, x), frames_of(self.conv_3d, x)]
    return torch.cat(parts, dim=2)


class Block(nn.Module):
  """Norm, SiLU, unit, twice, plus the input."""

  def __init__(self, inputs: int, outputs: int, group: int):
    super().__init__()
    self.residual = nn.Sequential(
      Norm(inputs, 2, 3),
      nn.SiLU(),
      Unit(inputs, outputs, group),
      Norm(outputs, 2, 3),
      nn.SiLU(),
      nn.Identity(),
      Unit(outputs, outputs, group),
    )
    self.shortcut = (
      nn.Identity() if inputs == outputs else Pointwise(inputs, outputs)
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.shortcut(x) + self.residual(x)


class FrameAttention(nn.Module):
  """One head over the places of each frame."""

  def __init__(self, channels: int):
    super().__init__()
    self.norm = Norm(channels, 1, 2)
    self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
    self.proj = nn.Conv2d(channels, channels, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    qkv = per_frame(self.to_qkv, self.norm(x)).flatten(3).transpose(2, 3)
    q, k, v = qkv.chunk(3, dim=-1)  # each (B, T, H W, C)
    h = F.scaled_dot_product_attention(q, k, v)
    h = h.transpose(2, 3).reshape(x.shape)
    return x + per_frame(self.proj, h)


class Attention(nn.Module):
  """`FrameAttention` of each branch."""

  def __init__(self, channels: int):
    super().__init__()
    self.Attention_2d = FrameAttention(channels // 2)
    self.Attention_3d = FrameAttention(channels // 2)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    key, motion = x.chunk(2, dim=2)
    return torch.cat([self.Attention_2d(key), self.Attention_3d(motion)], 2)


class Down(nn.Module):
  """Sides are halved, then time, except frame 0."""

  def __init__(self, channels: int, temporal: bool):
    super().__init__()
    half, self.temporal = channels // 2, temporal
    pad = nn.ZeroPad2d((0, 1, 0, 1))
    self.resample_2d = nn.Sequential(pad, nn.Conv2d(half, half, 3, stride=2))
    self.resample_3d = nn.Sequential(pad, nn.Conv2d(half, half, 3, stride=2))
    if temporal:
      self.time_conv = nn.Conv3d(half, half, (2, 1, 1), stride=(2, 1, 1))

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    key, motion = x.chunk(2, dim=2)
    key = per_frame(self.resample_2d, key)
    motion = per_frame(self.resample_3d, motion)
    if self.temporal:
      key = torch.cat([key[:, :1], key[:, 1::2]], dim=1)
      later = motion[:, 1:]
      if later.shape[1]:
        later = frames_of(self.time_conv, later)
      motion = torch.cat([motion[:, :1], later], dim=1)
    return torch.cat([key, motion], dim=2)


class Up(nn.Module):
  """Time is doubled, except frame 0, then sides; channels are halved."""

  def __init__(self, channels: int, temporal: bool):
    super().__init__()
    half, self.temporal = channels // 2, temporal

    def doubled() -> nn.Module:
      return nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(half, half // 2, 3, padding=1)
      )

    self.resample_2d, self.resample_3d = doubled(), doubled()
    if temporal:
      self.time_conv = nn.Conv3d(half, 2 * half, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    key, motion = x.chunk(2, dim=2)
    if self.temporal:
      later = key[:, 1:].repeat_interleave(2, dim=1)
      key = torch.cat([key[:, :1], later], dim=1)
      pairs = frames_of(self.time_conv, motion[:, 1:])
      pairs = pairs.unflatten(2, (2, -1)).flatten(1, 2)
      motion = torch.cat([motion[:, :1], pairs], dim=1)
    parts = [
      per_frame(self.resample_2d, key), per_frame(self.resample_3d, motion)
    ]  # fmt: skip
    return torch.cat(parts, dim=2)


class Convolution(nn.Module):
  """A convolution of frames, one level further down in the names."""

  def __init__(self, inputs: int, outputs: int, rate: int = 0):
    super().__init__()
    size = 3 if rate else 1
    self.conv = nn.Conv2d(
      inputs, outputs, size, padding=rate, dilation=rate or 1
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return per_frame(self.conv, x)


class Dilated(nn.Module):
  """A 1x1 and several dilated 3x3 convolutions, mixed by another 1x1 one."""

  def __init__(self, inputs: int, outputs: int, rates: tuple[int, ...]):
    super().__init__()
    self.names = [f"PAC_{rate}" for rate in (0, *rates)]
    for name, rate in zip(self.names, (0, *rates), strict=True):
      self.add_module(name, Convolution(inputs, outputs, rate))
    self.PAC_conv = Convolution(len(self.names) * outputs, outputs)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    halves = zip(
      *(getattr(self, name)(x).chunk(2, dim=2) for name in self.names),
      strict=True,
    )
    return self.PAC_conv(torch.cat([x for half in halves for x in half], 2))


def middle(width: int) -> nn.Sequential:
  """Block, attention, block of the deepest level."""
  return nn.Sequential(
    Block(width, width, 1), Attention(width), Block(width, width, 1)
  )


class Encoder(nn.Module):
  """Videos to moments."""

  def __init__(
    self,
    widths: list[int],
    groups: list[int],
    temporal: tuple[bool, ...],
    blocks: int,
    features: int,
    rates: tuple[int, ...],
  ):
    super().__init__()
    last, width = len(widths) - 1, widths[0]
    self.conv1 = Unit(3, width, groups[0])
    layers: list[nn.Module] = []
    for level in range(last):
      for _ in range(blocks):
        layers.append(Block(width, widths[level], groups[level]))
        width = widths[level]
      layers.append(Down(width, temporal[level]))
    layers.append(Attention(width))
    for _ in range(blocks):
      layers += [Block(width, widths[last], 1), Attention(widths[last])]
      width = widths[last]
    self.downsamples = nn.Sequential(*layers)
    self.middle = middle(width)
    self.head = nn.Sequential(
      Norm(width, 2, 3), nn.SiLU(), Dilated(width, features, rates)
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.head(self.middle(self.downsamples(self.conv1(x))))


class Decoder(nn.Module):
  """Latents to a video of each branch."""

  def __init__(
    self,
    widths: list[int],
    groups: list[int],
    temporal: tuple[bool, ...],
    blocks: int,
    latents: int,
  ):
    super().__init__()
    last, width = len(widths) - 1, widths[-1]
    self.conv1 = Unit(latents, width, 1)
    self.middle = middle(width)
    layers: list[nn.Module] = []
    for _ in range(blocks):
      layers += [Block(width, width, 1), Attention(width)]
    layers.append(Up(width, temporal[last - 1]))
    width //= 2
    for level in reversed(range(last)):
      for _ in range(blocks):
        layers.append(Block(width, widths[level], groups[level]))
        width = widths[level]
      if level > 0:
        layers.append(Up(width, temporal[level - 1]))
        width //= 2
    self.upsamples = nn.Sequential(*layers)
    self.head = nn.Sequential(
      Norm(width, 2, 3), nn.SiLU(), Unit(width, 6, groups[0])
    )

  def forward(self, z: torch.Tensor) -> torch.Tensor:
    return self.head(self.upsamples(self.middle(self.conv1(z))))


class IVVAE(nn.Module):
  """The published network: encoder, moments, latents, decoder."""

  def __init__(
    self,
    base: int = 64,
    latent_channels: int = 4,
    multipliers: tuple[int, ...] = MULTIPLIERS,
    blocks: int = 2,
    temporal: tuple[bool, ...] = (False, True, True),
    rates: tuple[int, ...] = (1, 3, 6, 9, 12),
  ):
    super().__init__()
    widths = [2 * base * m for m in multipliers]
    groups = [2 ** sum(temporal[i:]) for i in range(len(widths))]
    z, self.group = latent_channels, groups[0]
    self.encoder = Encoder(widths, groups, temporal, blocks, 2 * z, rates)
    self.conv1, self.conv2 = Pointwise(2 * z, 2 * z), Pointwise(z, z)
    self.decoder = Decoder(widths, groups, temporal, blocks + 1, z)

  def forward(self, video: torch.Tensor) -> torch.Tensor:
    """(B, T, C, H, W) -> the reconstruction from the means."""
    moments = self.conv1(self.encoder(video))
    # Each branch has its means and then its log-variances.
    means = moments.unflatten(2, (2, 2, -1))[:, :, :, 0].flatten(2, 3)
    both = self.decoder(self.conv2(means))
    # The key branch gives frame 0 and the first frame of each group.
    found = both[:, :, 3:].clone()
    found[:, :1] = both[:, :1, :3]
    found[:, 1 :: self.group] = both[:, 1 :: self.group, :3]
    return found

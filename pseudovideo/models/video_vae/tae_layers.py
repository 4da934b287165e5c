"""Encoder and decoder of the temporal autoencoder: an image VAE's, inflated.

Behind each 3x3 convolution there is a convolution over time; behind each
attention within frames there is attention within places, over all frames.
Layers within frames have the image VAE's names; layers over time have these
names with `_time` behind, and start as identities.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo.models.layers import maybe_remat
from pseudovideo.models.video_vae import blocks, branches, resampling, temporal

TIME = "_time"


class TemporalConv(nn.Module):
  """Frame t sees the frames t - 1, t, t + 1 of its place.

  The first and the last frame are repeated beyond the ends. It starts as the
  identity on frame t.

  Attributes:
    dtype: type of the arithmetic.
    stride: 1, or 2 to keep the even t.
  """

  dtype: DTypeLike
  stride: int = 1

  @nn.compact
  def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t H W C"]:
    """(B, T, H, W, C) -> (B, ceil(T / stride), H, W, C)."""
    padded = jnp.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
    seen = temporal.windows(padded, 3)[:, :: self.stride]
    layer = nn.Dense(
      x.shape[-1], kernel_init=_centre, dtype=self.dtype, name="taps"
    )
    return layer(seen)


def _centre(key: jax.Array, shape: tuple[int, int], dtype: DTypeLike):
  """The identity for the second of three frames' channels, (3 C, C)."""
  del key
  return jnp.eye(*shape, k=-shape[1], dtype=dtype)


class TemporalAttention(nn.Module):
  """`blocks.FrameAttention` over the frames of each place.

  It knows no positions, so that clips can have any length.

  Attributes:
    dtype: type of the arithmetic.
  """

  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
    """(B, T, H, W, C) -> (B, T, H, W, C)."""
    b, t, height, width, c = x.shape
    x = jnp.swapaxes(x.reshape(b, t, height * width, c), 1, 2)
    # (B, H W, T, 1, C): each place is a frame to it, whose frames are places.
    x = blocks.FrameAttention(self.dtype, name="places")(x[:, :, :, None])
    return jnp.swapaxes(x[:, :, :, 0], 1, 2).reshape(b, t, height, width, c)


class ResBlock(nn.Module):
  """`blocks.ResBlock` with a `TemporalConv` behind each 3x3 convolution.

  Attributes:
    design: choices that all blocks of the image VAE share.
    features: output channels.
  """

  design: branches.Design
  features: int

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"]
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, T, H, W, C) -> (B, T, H, W, features)."""
    h = x
    for i in range(2):
      h = blocks.NormSilu(self.design, name=f"norm_{i}")(h)
      h = _conv(h, self.design, self.features, f"unit_{i}")
    if x.shape[-1] != self.features:
      x = branches.Pointwise(self.design, self.features, name="shortcut")(x)
    return x + h


class Encoder(nn.Module):
  """Stem, levels of residual blocks, middle, head.

  Attributes:
    design: choices that all blocks of the image VAE share.
    widths: channels of each level.
    blocks: residual blocks per level.
    temporal: whether time is halved behind each level but the last.
    features: output channels, twice as many as the latents have.
  """

  design: branches.Design
  widths: tuple[int, ...]
  blocks: int
  temporal: tuple[bool, ...]
  features: int

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"]
  ) -> Float[Array, "B t h w {self.features}"]:
    """(B, T, H, W, C) -> (B, t, h, w, features)."""
    design, last = self.design, len(self.widths) - 1
    h = _conv(x, design, self.widths[0], "stem")
    for level, width in enumerate(self.widths):
      for i in range(self.blocks):
        h = _block(h, design, width, f"level_{level}_{i}")
      if level < last:
        name = f"level_{level}_down"
        h = resampling.Downsample(design, False, name=name)(h, True)
        stride = 2 if self.temporal[level] else 1
        h = TemporalConv(design.dtype, stride, name=name + TIME)(h)
    h = _middle(h, design)
    h = blocks.NormSilu(design, name="norm")(h)
    return _conv(h, design, self.features, "head")


class Decoder(nn.Module):
  """Stem, middle, levels of residual blocks from the deepest to 0, head.

  Attributes:
    design: choices that all blocks of the image VAE share.
    widths: channels of each level.
    blocks: residual blocks per level.
    temporal: whether time is doubled in front of each level but the last.
    features: output channels.
  """

  design: branches.Design
  widths: tuple[int, ...]
  blocks: int
  temporal: tuple[bool, ...]
  features: int

  @nn.compact
  def __call__(
    self, z: Float[Array, "B t h w Z"]
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, t, h, w, Z) -> (B, f t, H, W, features), f the temporal factor."""
    design, last = self.design, len(self.widths) - 1
    h = _middle(_conv(z, design, self.widths[last], "stem"), design)
    for level in reversed(range(last + 1)):
      for i in range(self.blocks):
        name = f"level_{level}_{i}"
        h = _block(h, design, self.widths[level], name)
      if level > 0:
        name = f"level_{level}_up"
        h = resampling.Upsample(design, False, name=name)(h, True)
        if self.temporal[level - 1]:
          h = jnp.repeat(h, 2, axis=1)
        h = TemporalConv(design.dtype, name=name + TIME)(h)
    h = blocks.NormSilu(design, name="norm")(h)
    return _conv(h, design, self.features, "head")


def _conv(x, design, features, name):
  """A 3x3 convolution, then one over time; for use inside a module."""
  # Whether the clip begins here makes no difference within frames.
  x = branches.Unit(design, features, 1, name=name)(x, True)
  return TemporalConv(design.dtype, name=name + TIME)(x)


def _block(x, design, features, name):
  """A residual block; for use inside a module."""
  return maybe_remat(ResBlock, design.remat)(design, features, name=name)(x)


def _middle(x, design):
  """Block, attention within frames and over time, block; see `_block`."""
  width, name = x.shape[-1], "middle_attention"
  x = _block(x, design, width, "middle_0")
  x = blocks.Attention(design, name=name)(x)
  over_time = maybe_remat(TemporalAttention, design.remat)
  x = over_time(design.dtype, name=name + TIME)(x)
  return _block(x, design, width, "middle_1")

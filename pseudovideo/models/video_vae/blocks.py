"""Residual block, attention within frames, parallel dilated convolutions."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo.models import attention
from pseudovideo.models.layers import maybe_remat
from pseudovideo.models.video_vae import branches, geometry, layers

Place = Literal["down", "blocks", "middle"]
"""Places of attention, all on latent-sized maps: behind the last Downsample
(one place), behind each deepest residual block of encoder and decoder
(2 `blocks` + 1 places), in the middle of both (two places)."""


class NormSilu(nn.Module):
  """`RMSNorm` of each branch, then SiLU.

  Attributes:
    design: choices that all blocks share.
  """

  design: branches.Design

  @nn.compact
  def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
    """(B, T, H, W, C) -> (B, T, H, W, C)."""
    norm = layers.RMSNorm(len(self.design.names), name="norm")
    return nn.silu(norm(x)).astype(self.design.dtype)


class ResBlock(nn.Module):
  """Norm, SiLU, unit, twice, plus the input, 1x1 if the width changes.

  Attributes:
    design: choices that all blocks share.
    features: output channels of all branches together.
    group: frames of a group.
  """

  design: branches.Design
  features: int
  group: int

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, T, H, W, C) -> (B, T, H, W, features)."""
    design, h = self.design, x
    for i in range(2):
      h = NormSilu(design, name=f"norm_{i}")(h)
      h = branches.Unit(design, self.features, self.group, name=f"unit_{i}")(
        h, first
      )
    if x.shape[-1] != self.features:
      x = branches.Pointwise(design, self.features, name="shortcut")(x)
    return x + h


class FrameAttention(nn.Module):
  """One head over the places of each frame, with a residual connection.

  The 3C channels of `qkv` are q | k | v; logits are q.k / sqrt(C). It starts as
  the identity.

  Attributes:
    dtype: type of the arithmetic (norm and softmax in float32).
  """

  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
    """(B, T, H, W, C) -> (B, T, H, W, C)."""
    b, t, height, width, c = x.shape
    h = layers.RMSNorm(1, name="norm")(x).astype(self.dtype)
    h = h.reshape(b, t, height * width, c)
    qkv = layers.dense(3 * c, name="qkv", dtype=self.dtype)(h)
    q, k, v = jnp.split(qkv, 3, axis=-1)  # each (B, T, H W, C)
    # (B, T, queries, keys)
    logits = attention.products(q * c**-0.5, k)
    h = attention.mixed(logits, v).reshape(x.shape)
    return x + layers.dense(c, name="out", dtype=self.dtype, zero=True)(h)


class Attention(nn.Module):
  """`FrameAttention` of each branch by itself.

  Attributes:
    design: choices that all blocks share.
  """

  design: branches.Design

  @nn.compact
  def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
    """(B, T, H, W, C) -> (B, T, H, W, C)."""
    layer = maybe_remat(FrameAttention, self.design.remat)
    return branches.each(
      x,
      self.design.names,
      lambda name, part: layer(self.design.dtype, name=name)(part),
    )


class ParallelDilated(nn.Module):
  """PAC: a 1x1 and 3x3 convolutions at several dilations, mixed (Sec. 3.4).

  Each convolution reads all channels and gives `features`. The 1x1 convolution
  that mixes them reads the key parts of all, then their motion parts.

  Attributes:
    design: choices that all blocks share.
    features: output channels of all branches together.
    rates: dilations of the 3x3 convolutions.
  """

  design: branches.Design
  features: int
  rates: tuple[int, ...]

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"]
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, T, H, W, C) -> (B, T, H, W, features)."""
    dtype = self.design.dtype
    outs = [layers.dense(self.features, name="rate_0", dtype=dtype)(x)]
    for rate in self.rates:
      conv = layers.conv(
        self.features,
        name=f"rate_{rate}",
        dtype=dtype,
        padding=(rate, rate),
        dilation=rate,
      )
      outs.append(conv(x))
    num = len(self.design.names)
    halves = zip(*(jnp.split(out, num, axis=-1) for out in outs), strict=True)
    h = jnp.concatenate([part for half in halves for part in half], axis=-1)
    return layers.dense(self.features, name="out", dtype=dtype)(h)


class Levels(nn.Module):
  """The base of encoder and decoder.

  Attributes:
    design: choices that all blocks share.
    widths: channels of each level, of all branches together.
    blocks: residual blocks per level.
    temporal: whether time is halved behind each level but the last, or doubled
      in front of it.
    attention: places that have attention.
    features: output channels, of all branches together.
  """

  design: branches.Design
  widths: tuple[int, ...]
  blocks: int
  temporal: tuple[bool, ...]
  attention: tuple[Place, ...]
  features: int

  @nn.nowrap
  def block(
    self, x: Float[Array, "B T H W C"], level: int, name: str, first: bool
  ) -> Float[Array, "B T H W D"]:
    """Runs a residual block, to the width of the level."""
    group = geometry.group_sizes(self.temporal)[level]
    layer = maybe_remat(ResBlock, self.design.remat, static=(2,))
    return layer(self.design, self.widths[level], group, name=name)(x, first)

  @nn.nowrap
  def attend(
    self, x: Float[Array, "B T H W C"], place: Place, name: str
  ) -> Float[Array, "B T H W C"]:
    """Runs attention, if that place has it."""
    if place not in self.attention:
      return x
    return Attention(self.design, name=f"{name}_attention")(x)

  @nn.nowrap
  def middle(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B T H W D"]:
    """Runs block, attention, block, of the last level's width."""
    last = len(self.widths) - 1
    x = self.block(x, last, "middle_0", first)
    x = self.attend(x, "middle", "middle")
    return self.block(x, last, "middle_1", first)

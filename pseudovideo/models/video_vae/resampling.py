"""Layers that halve and double sides and time, each branch by itself.

Frame 0 of a clip is exempt from the resampling of time. With two branches the
key branch keeps or repeats frames, and the motion branch learns to merge and to
split pairs. A lone branch has causal kernels of 3 frames; between doublings
they see zeros in place of frame 0, as in Wan's public VAE.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo.models.video_vae import branches, cache, layers, temporal


class Downsample(nn.Module):
  """3x3 convolution with stride 2, then time is halved.

  The zero row and column are at the bottom and on the right.

  Attributes:
    design: choices that all blocks share.
    temporal: whether time is halved.
  """

  design: branches.Design
  temporal: bool

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B t h w C"]:
    """(B, T, H, W, C) -> (B, T', H/2, W/2, C).

    T' = T or, halved, 1 + (T - 1) / 2 with the clip's frame 0 and T / 2
    without.
    """
    names, dtype = self.design.names, self.design.dtype

    def down(name, part):
      conv = layers.conv(
        part.shape[-1], name=name, dtype=dtype, stride=2, padding=(0, 1)
      )
      part = conv(part)
      if not self.temporal:
        return part
      if name == "key":
        zero, later = _apart(part, first)
        return jnp.concatenate([zero, later[:, ::2]], axis=1)
      return HalveTime(len(names) == 1, dtype, name="time")(part, first)

    return branches.each(x, names, down)


class Upsample(nn.Module):
  """Time is doubled, sides by repetition; a 3x3 convolution halves channels.

  Attributes:
    design: choices that all blocks share.
    temporal: whether time is doubled.
  """

  design: branches.Design
  temporal: bool

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B t h w c"]:
    """(B, T, H, W, C) -> (B, T', 2H, 2W, C/2).

    T' = T or, doubled, 1 + 2 (T - 1) with the clip's frame 0 and 2 T without.
    """
    names, dtype = self.design.names, self.design.dtype

    def up(name, part):
      if self.temporal and name == "key":
        zero, later = _apart(part, first)
        later = jnp.repeat(later, 2, axis=1)
        part = jnp.concatenate([zero, later], axis=1)
      elif self.temporal:
        part = DoubleTime(len(names) == 1, dtype, name="time")(part, first)
      part = jnp.repeat(jnp.repeat(part, 2, axis=2), 2, axis=3)
      return layers.conv(part.shape[-1] // 2, name=name, dtype=dtype)(part)

    return branches.each(x, names, up)


class HalveTime(nn.Module):
  """A linear layer over the channels of a pair, or also of the frame before.

  Attributes:
    causal: whether the frame before the pair is seen as well.
    dtype: type of the arithmetic.
  """

  causal: bool
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B t H W C"]:
    """(B, T, H, W, C) -> (B, T', H, W, C), see `Downsample`."""
    zero, later = _apart(x, first)
    taps = 2
    if self.causal:
      taps = 3
      start = zero if first else None
      later = cache.FramesBefore(1, name="before")(later, start)
    seen = temporal.windows(later, taps)[:, ::2]  # channels of all taps
    layer = layers.dense(x.shape[-1], name="taps", dtype=self.dtype)
    return jnp.concatenate([zero, layer(seen)], axis=1)


class DoubleTime(nn.Module):
  """A linear layer to 2C channels: first of the even frame, then of the odd.

  Attributes:
    causal: whether the two frames before are seen as well.
    dtype: type of the arithmetic.
  """

  causal: bool
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B t H W C"]:
    """(B, T, H, W, C) -> (B, T', H, W, C), see `Upsample`."""
    c = x.shape[-1]
    zero, later = _apart(x, first)
    if self.causal:
      start = temporal.zeros_before(x, 2) if first else None
      later = cache.FramesBefore(2, name="before")(later, start)
      later = temporal.windows(later, 3)
    layer = layers.dense(2 * c, name="taps", dtype=self.dtype)
    # (B, T, 2, H, W, C), frames that follow each other along axis 2.
    pairs = jnp.stack(jnp.split(layer(later), 2, axis=-1), axis=2)
    b, t = pairs.shape[:2]
    later = pairs.reshape(b, 2 * t, *x.shape[2:])
    return jnp.concatenate([zero, later], axis=1)


def _apart(x, first):
  """The clip's frame 0, if it is in the chunk, and the frames behind it."""
  return x[:, : int(first)], x[:, int(first) :]

"""The U-Net of improved DDPM and of the heat-dissipation model.

Encoder: a 3x3 stem; at each level `blocks` residual blocks (with attention
where the level is listed), then a stride-2 convolution, except at the last
level. Every one of these outputs is a skip. Middle: residual block, attention,
residual block. Decoder: at each level `blocks + 1` residual blocks, each on the
concatenation with the skip it pops, then upsampling. Head: GroupNorm, SiLU, and
a convolution that starts at zero, so that an untrained network outputs zero.
"""

from collections.abc import Callable
from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp
from annotated_types import Ge, Le, Len
from jaxtyping import Array, Float, Key, Real

from pseudovideo import errors
from pseudovideo.fields import Depth, Dtype, NotNegativeInt, Share, Width
from pseudovideo.models import fusion, layers

Multiplier = Annotated[int, Ge(1), Le(1000)]
"""The factor of a level's width."""


class UNet(nn.Module):
  """Predicts an image-shaped array from an image and a time step or level.

  Attributes:
    channels: base width C; level l has C * multipliers[l] channels.
    multipliers: one factor per level; the side halves from each to the next.
    blocks: residual blocks per level on the way down (one more on the way up).
    attention: the levels that have attention; the middle always has.
    heads: attention heads.
    groups: groups of every GroupNorm; must divide all widths.
    dropout: rate inside the residual blocks.
    conditioning: the way time enters, see `layers.ResBlock`.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
    out_channels: channels of the output; None: as many as the input has.
    remat: whether residual blocks and attention are computed again for their
      gradient. Without it training keeps all that is inside them.
  """

  channels: Width = 128
  multipliers: Annotated[tuple[Multiplier, ...], Len(1)] = (1, 2, 2, 2)
  blocks: Depth = 2
  attention: tuple[NotNegativeInt, ...] = (1, 2)
  heads: Width = 4
  groups: Width = 32
  dropout: Share = 0.0
  conditioning: layers.Conditioning = "scale_shift"
  dtype: Dtype = "float32"
  out_channels: Width | None = None
  remat: bool = False

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B H W C"],
    timesteps: Real[Array, " B"],
    *,
    dropout_key: Key[Array, "..."] | None = None,
  ) -> Float[Array, "B H W out"]:
    """Runs the network.

    Args:
      x: (B, H, W, C) float.
      timesteps: (B,) time steps or levels, embedded unscaled.
      dropout_key: PRNG key, scalar or (B,); None switches dropout off.

    Returns:
      (B, H, W, out_channels) float32.
    """
    dtype = jnp.dtype(self.dtype)
    embedding = layers.TimeEmbedding(self.channels, dtype, name="time")(
      timesteps
    )
    attention = layers.maybe_remat(layers.SelfAttention, self.remat)

    def attend(h, name):
      return attention(
        self.heads, self.groups, dtype, name=f"{name}_attention"
      )(h)

    return torso(
      self, x, embedding, attend, dropout_key, self.out_channels or x.shape[-1]
    )


def torso(
  net: UNet,
  x: Float[Array, "N H W C"],
  embedding: Float[Array, "N E"],
  attend: Callable[[Array, str], Array],
  dropout_key: Key[Array, "..."] | None,
  out_channels: int,
) -> Float[Array, "N H W {out_channels}"]:
  """Runs all but the embedding of time, as submodules of `net`.

  Args:
    net: the module being called; gives the fields.
    x: (N, H, W, C), the images, or the frames of all videos.
    embedding: (N, E), time for each image.
    attend: makes and applies the attention layers of one place, from their
      input and the name of the place.
    dropout_key: PRNG key, scalar or (N,); None switches dropout off.
    out_channels: channels of the output.

  Returns:
    (N, H, W, out_channels) float32.
  """
  dtype = jnp.dtype(net.dtype)
  res_block = layers.maybe_remat(layers.ResBlock, net.remat)

  def residual(h, level, name):
    return res_block(
      net.channels * net.multipliers[level],
      net.groups,
      net.dropout,
      net.conditioning,
      dtype,
      name=name,
    )(fusion.boundary(h), embedding, dropout_key)

  def block(h, level, name):
    h = residual(h, level, f"{name}_res")
    if level in net.attention:
      h = attend(fusion.boundary(h), name)
    return h

  last = len(net.multipliers) - 1
  h = x.astype(dtype)
  h = layers.conv(net.channels, x.shape[-1], name="stem", dtype=dtype)(h)
  skips = [h]
  for level in range(last + 1):
    for i in range(net.blocks):
      h = block(h, level, f"down_{level}_{i}")
      skips.append(h)
    if level < last:
      h = layers.Downsample(dtype, name=f"down_{level}_sample")(h)
      skips.append(h)

  h = residual(h, last, "middle_0")
  h = attend(h, "middle")
  h = residual(h, last, "middle_1")

  for level in reversed(range(last + 1)):
    for i in range(net.blocks + 1):
      h = jnp.concatenate([h, skips.pop()], axis=-1)
      h = block(h, level, f"up_{level}_{i}")
    if level > 0:
      h = layers.Upsample(dtype, name=f"up_{level}_sample")(h)

  h = nn.silu(layers.GroupNorm(net.groups, name="norm")(h)).astype(dtype)
  h = layers.conv(
    out_channels, net.channels, name="head", dtype=dtype, zero=True
  )(h)
  return h.astype(jnp.float32)


def check(unet: UNet, image_shape: tuple[int, int, int]) -> None:
  """Refuses fields that cannot work together, before anything is compiled.

  Args:
    unet: the network.
    image_shape: (H, W, C) of its input.

  Raises:
    UserError: names the field, its value, and what is allowed.
  """
  levels = len(unet.multipliers)
  factor = 2 ** (levels - 1)
  if image_shape[0] % factor or image_shape[1] % factor:
    raise errors.UserError(
      f"model.multipliers has {levels} levels, so that image sides must be "
      f"divisible by {factor}; got images of {image_shape[0]}x{image_shape[1]}."
      " Use fewer levels."
    )
  layers.check_groups("model", unet.channels, unet.groups)
  widths = [unet.channels * m for m in unet.multipliers]
  if any(width % unet.heads for width in widths):
    raise errors.UserError(
      "model.heads must divide the channels of every level; got heads="
      f"{unet.heads} for {widths}."
    )
  if any(level >= levels for level in unet.attention):
    raise errors.UserError(
      f"model.attention lists levels 0 to {levels - 1} of model.multipliers; "
      f"got {unet.attention}."
    )


def check_same_shape(unet: UNet, image_shape: tuple[int, int, int]) -> None:
  """Runs `check`, for tasks that add the output to the image.

  Raises:
    UserError: see `check`; or the output has other channels, which would be
      broadcast silently.
  """
  check(unet, image_shape)
  if unet.out_channels not in (None, image_shape[-1]):
    raise errors.UserError(
      "model.out_channels must be None or the channels of the images, "
      f"{image_shape[-1]}; got {unet.out_channels}."
    )

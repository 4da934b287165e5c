"""The U-Net of improved DDPM and of the heat-dissipation model.

Encoder: a 3x3 stem; at each level `blocks` residual blocks (with attention
where the level is listed), then a stride-2 convolution, except at the last
level. Every one of these outputs is a skip. Middle: residual block, attention,
residual block. Decoder: at each level `blocks + 1` residual blocks, each on the
concatenation with the skip it pops, then upsampling. Head: GroupNorm, SiLU, and
a convolution that starts at zero, so that an untrained network outputs zero.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from pseudovideo import errors
from pseudovideo.models import layers, sizes

DTYPES = ("float32", "bfloat16")


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
    conditioning: `additive` or `scale_shift`, how time enters.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
    out_channels: channels of the output; None: those of the input.
    remat: whether residual blocks and attention are computed again for their
      gradient. Without it training keeps all that is inside them.
  """

  channels: int = 128
  multipliers: tuple[int, ...] = (1, 2, 2, 2)
  blocks: int = 2
  attention: tuple[int, ...] = (1, 2)
  heads: int = 4
  groups: int = 32
  dropout: float = 0.0
  conditioning: str = "scale_shift"
  dtype: str = "float32"
  out_channels: int | None = None
  remat: bool = False

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    timesteps: jax.Array,
    *,
    dropout_key: jax.Array | None = None,
  ) -> jax.Array:
    """Runs the network.

    Args:
      x: (B, H, W, C) float.
      timesteps: (B,) time steps or levels, embedded unscaled.
      dropout_key: scalar or (B,) keys; None switches dropout off.

    Returns:
      (B, H, W, out_channels) float32.
    """
    dtype = jnp.dtype(self.dtype)
    embedding = layers.TimeEmbedding(self.channels, dtype, name="time")(
      timesteps
    )

    attention = layers.again(layers.SelfAttention, self.remat)

    def attend(h, name):
      return attention(
        self.heads, self.groups, dtype, name=f"{name}_attention"
      )(h)

    return torso(
      self, x, embedding, attend, dropout_key, self.out_channels or x.shape[-1]
    )


def torso(
  net: UNet,
  x: jax.Array,
  embedding: jax.Array,
  attend: Callable[[jax.Array, str], jax.Array],
  dropout_key: jax.Array | None,
  out_channels: int,
) -> jax.Array:
  """Everything but the embedding of time, as submodules of `net`.

  Args:
    net: the module being called; gives the fields.
    x: (B, H, W, C) images, or (B T, H, W, C) frames.
    embedding: of time, one row per image.
    attend: makes and applies the attention layers of one place, from their
      input and the name of the place.
    dropout_key: scalar key or one per image; None switches dropout off.
    out_channels: channels of the output.

  Returns:
    (B, H, W, out_channels) float32.
  """
  dtype = jnp.dtype(net.dtype)
  res_block = layers.again(layers.ResBlock, net.remat)

  def residual(h, level, name):
    return res_block(
      net.channels * net.multipliers[level],
      net.groups,
      net.dropout,
      net.conditioning,
      dtype,
      name=name,
    )(h, embedding, dropout_key)

  def block(h, level, name):
    h = residual(h, level, f"{name}_res")
    return attend(h, name) if level in net.attention else h

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

  h = nn.silu(layers.group_norm(net.groups, name="norm")(h)).astype(dtype)
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
    UserError: says which field, what it is, and what is allowed.
  """
  sizes.check("model", unet)
  levels = len(unet.multipliers)
  if levels == 0 or min(unet.multipliers) < 1 or unet.blocks < 1:
    raise errors.UserError(
      "model.multipliers needs at least one level, with factors of 1 or more, "
      f"and model.blocks at least 1; got {unet.multipliers} and {unet.blocks}."
    )
  factor = 2 ** (levels - 1)
  if image_shape[0] % factor or image_shape[1] % factor:
    raise errors.UserError(
      f"model.multipliers has {levels} levels, so that image sides must be "
      f"divisible by {factor}; got images of {image_shape[0]}x{image_shape[1]}."
      " Use fewer levels."
    )
  if (
    unet.groups < 1
    or unet.channels < 2
    or unet.channels % 2
    or (unet.channels % unet.groups)
  ):
    raise errors.UserError(
      f"model.channels must be an even multiple of model.groups; got "
      f"channels={unet.channels}, groups={unet.groups}."
    )
  if unet.heads < 1 or any(
    unet.channels * m % unet.heads for m in unet.multipliers
  ):
    raise errors.UserError(
      f"model.heads must divide the channels of every level; got heads="
      f"{unet.heads} for {[unet.channels * m for m in unet.multipliers]}."
    )
  if any(not 0 <= level < levels for level in unet.attention):
    raise errors.UserError(
      f"model.attention lists levels 0 to {levels - 1} of model.multipliers; "
      f"got {unet.attention}."
    )
  if not 0 <= unet.dropout < 1:
    raise errors.UserError(
      f"model.dropout must lie in [0, 1); got {unet.dropout}."
    )
  if unet.conditioning not in layers.CONDITIONINGS:
    raise errors.unknown(
      "model.conditioning", unet.conditioning, layers.CONDITIONINGS
    )
  if unet.dtype not in DTYPES:
    raise errors.unknown("model.dtype", unet.dtype, DTYPES)


def check_same_shape(unet: UNet, image_shape: tuple[int, int, int]) -> None:
  """`check`, for tasks that add the output to the image.

  Raises:
    UserError: as `check` does, or the output has other channels, which would
      be broadcast without a word.
  """
  check(unet, image_shape)
  if unet.out_channels not in (None, image_shape[-1]):
    raise errors.UserError(
      "model.out_channels must be None or the channels of the images, "
      f"{image_shape[-1]}; got {unet.out_channels}."
    )

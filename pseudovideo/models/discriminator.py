"""The discriminator of the tokenizers' adversarial loss.

It follows the public Phenaki implementation, which the pseudo-video paper
trains its C-ViViT with: residual blocks that halve the image down to 4x4
pixels, one attention layer on the way, no normalisation between images, so that
every logit belongs to one image. It starts as PyTorch would, see `layers`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo import errors
from pseudovideo.fields import Dtype, NotNegativeInt, Width
from pseudovideo.models import attention, layers

# Side of the map in front of the last layers, pixels.
LAST_SIDE = 4
_SLOPE = 0.1


class Discriminator(nn.Module):
  """One logit per image: large for real images, small for made ones.

  Attributes:
    width: channels of the first block; each block doubles them ...
    max_width: ... up to this many.
    attention: the block whose input has this side, pixels, is followed by
      attention; 0, or larger than the images: there is none.
    heads: attention heads.
    head_width: channels of each head.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
  """

  width: Width = 64
  max_width: Width = 512
  attention: NotNegativeInt = 16
  heads: Width = 8
  head_width: Width = 64
  dtype: Dtype = "float32"

  @nn.compact
  def __call__(self, x: Float[Array, "B S S C"]) -> Float[Array, " B"]:
    """Runs the network.

    Args:
      x: (B, S, S, C) float in [0, 1], S a power of two from 8; see `check`.

    Returns:
      (B,) float32.
    """
    dtype = jnp.dtype(self.dtype)
    h = x.astype(dtype)
    halvings = (x.shape[1] // LAST_SIDE).bit_length() - 1
    for level in range(halvings + 1):
      side = h.shape[1]
      width = min(self.width * 2**level, self.max_width)
      h = Block(width, level < halvings, dtype, name=f"block_{level}")(h)
      if side == self.attention:
        pixels = h.reshape(len(h), -1, width)  # (B, side^2, width)
        pixels += attention.CosineAttention(
          self.heads, self.head_width, dtype, name="attention"
        )(pixels)
        h = pixels.reshape(h.shape)
    h = layers.conv(width, width, name="conv", dtype=dtype)(h)
    h = nn.leaky_relu(h, _SLOPE).reshape(len(x), -1)  # (B, 4 * 4 * width)
    h = layers.dense(1, h.shape[-1], name="logit", dtype=dtype)(h)
    return h[:, 0].astype(jnp.float32)


class Block(nn.Module):
  """Two convolutions beside a 1x1 one; their sum, divided by sqrt(2).

  Attributes:
    features: output channels.
    downsample: whether the side is halved: by a 2x2 convolution with stride 2
      (2x2 pixels become channels that a linear layer mixes), and in the 1x1
      convolution by leaving out every second pixel.
    dtype: type of the arithmetic.
  """

  features: int
  downsample: bool
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "B S S C"]
  ) -> Float[Array, "B s s {self.features}"]:
    """(B, S, S, C) -> (B, S / 2 or S, S / 2 or S, features)."""

    def conv(h, name, kernel, stride=1):
      return layers.conv(
        self.features,
        h.shape[-1],
        name=name,
        dtype=self.dtype,
        kernel=kernel,
        stride=stride,
      )(h)

    skip = conv(x, "skip", 1, 2 if self.downsample else 1)
    h = nn.leaky_relu(conv(x, "conv_in", 3), _SLOPE)
    h = nn.leaky_relu(conv(h, "conv_out", 3), _SLOPE)
    if self.downsample:
      h = conv(h, "down", 2, 2)
    return (h + skip) * 0.5**0.5


def check(net: Discriminator, image_shape: tuple[int, int, int]) -> None:
  """Refuses fields that cannot work together, before anything is compiled.

  Args:
    net: the network.
    image_shape: (H, W, C) of its input.

  Raises:
    UserError: names the field, its value, and what is allowed.
  """
  height, width = image_shape[:2]
  if height != width or height < 2 * LAST_SIDE or height & (height - 1):
    raise errors.UserError(
      "The discriminator halves square images until 4x4 pixels are left, so "
      f"that sides must be 8, 16, 32, 64 or so on; got images of "
      f"{height}x{width}; resize them or train without the adversarial loss."
    )
  check_widths(net.width, net.max_width)
  side = net.attention
  if side != 0 and (side < LAST_SIDE or side & (side - 1)):
    raise errors.UserError(
      "discriminator.attention is the side of the maps that a block takes, 4, "
      f"8, 16 or so on, or 0 for no attention; got {side}."
    )


def check_widths(width: int, max_width: int) -> None:
  """Refuses a first block that is wider than the widest one may be.

  Raises:
    UserError: names both.
  """
  if max_width < width:
    raise errors.UserError(
      "discriminator.max_width must be at least discriminator.width; got "
      f"{max_width} and {width}."
    )

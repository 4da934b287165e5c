"""The discriminator of the tokenizers' adversarial loss.

That of the public Phenaki implementation, which the pseudo-video paper trains
its C-ViViT with: residual blocks that halve the image down to 4x4 pixels, one
attention layer on the way, no normalisation between images, so that every
logit belongs to one image. Initialisation is that of PyTorch, see `layers`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from pseudovideo import errors
from pseudovideo.models import layers
from pseudovideo.models.unet import DTYPES

# Side of the map in front of the last layers, pixels.
LAST_SIDE = 4
# Cosines lie in [-1, 1]; softmax sees them times this.
_COSINE_SCALE = 8.0
_SLOPE = 0.1

_kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


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

  width: int = 64
  max_width: int = 512
  attention: int = 16
  heads: int = 8
  head_width: int = 64
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
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
        h = CosineAttention(
          self.heads, self.head_width, dtype, name="attention"
        )(h)
    h = layers.conv(width, width, name="conv", dtype=dtype)(h)
    h = nn.leaky_relu(h, _SLOPE).reshape(len(x), -1)
    h = layers.dense(1, h.shape[-1], name="logit", dtype=dtype)(h)
    return h[:, 0].astype(jnp.float32)


class Block(nn.Module):
  """Two convolutions beside a 1x1 one; their sum, divided by sqrt(2).

  Attributes:
    features: output channels.
    downsample: whether the side is halved: by 2x2 pixels becoming channels
      that a linear layer mixes, which is a 2x2 convolution with stride 2, and
      beside it by leaving out every second pixel.
    dtype: type of the arithmetic.
  """

  features: int
  downsample: bool
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
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


class CosineAttention(nn.Module):
  """Attention over all pixels by the cosine of queries and keys, residual.

  Queries see the normalised input, keys and values the input itself. With
  gains g_q and g_k, one per channel of a head and shared by the heads,

    logit[i, j] = 8 (g_q q_i / |q_i|) . (g_k k_j / |k_j|)

  Attributes:
    heads: number of heads.
    head_width: channels of each.
    dtype: type of the arithmetic (normalisation and softmax in float32).
  """

  heads: int = 8
  head_width: int = 64
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H, W, C)."""
    b, height, width, c = x.shape
    inner = self.heads * self.head_width
    flat = x.reshape(b, height * width, c)
    # The published network has this gain, of a context that it is never given;
    # nothing depends on it.
    self.param("context_scale", nn.initializers.ones_init(), (c,))
    normed = nn.LayerNorm(
      epsilon=1e-5,
      use_bias=False,
      use_fast_variance=False,
      dtype=jnp.float32,
      name="norm",
    )(flat).astype(self.dtype)

    def linear(features, h, name):
      return nn.Dense(
        features,
        use_bias=False,
        kernel_init=_kernel_init,
        dtype=self.dtype,
        name=name,
      )(h)

    def unit(h, name):
      gain = self.param(name, nn.initializers.ones_init(), (self.head_width,))
      return _unit(h.astype(jnp.float32)) * gain[None, None, None]

    q, k, v = (
      h.reshape(b, height * width, self.heads, self.head_width)
      for h in (
        linear(inner, normed, "query"),
        *jnp.split(linear(2 * inner, flat, "key_value"), 2, axis=-1),
      )
    )
    q, k = unit(q, "query_gain"), unit(k, "key_gain")
    logits = _COSINE_SCALE * jnp.einsum("bnhd,bmhd->bhnm", q, k)
    weights = jax.nn.softmax(logits, axis=-1).astype(self.dtype)
    h = jnp.einsum("bhnm,bmhd->bnhd", weights, v)
    h = linear(c, h.reshape(b, height * width, inner), "out")
    return x + h.reshape(x.shape)


def _unit(x: jax.Array) -> jax.Array:
  """x / max(|x|, 1e-6) over the last axis.

  With a smaller bound the second derivatives, which the gradient penalty
  needs, would overflow at short vectors.
  """
  squares = jnp.sum(x * x, axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))


def check(net: Discriminator, image_shape: tuple[int, int, int]) -> None:
  """Refuses fields that cannot work together, before anything is compiled.

  Args:
    net: the network.
    image_shape: (H, W, C) of its input.

  Raises:
    UserError: says which field, what it is, and what is allowed.
  """
  height, width = image_shape[:2]
  if height != width or height < 2 * LAST_SIDE or height & (height - 1):
    raise errors.UserError(
      "The discriminator halves square images until 4x4 pixels are left, so "
      f"that sides must be 8, 16, 32, 64 or so on; got images of "
      f"{height}x{width}; resize them or train without the adversarial loss."
    )
  if net.width < 1 or net.max_width < net.width:
    raise errors.UserError(
      "discriminator.width must be at least 1 and discriminator.max_width at "
      f"least as large; got {net.width} and {net.max_width}."
    )
  side = net.attention
  if side != 0 and (side < LAST_SIDE or side & (side - 1)):
    raise errors.UserError(
      "discriminator.attention is the side of the maps that a block takes, 4, "
      f"8, 16 or so on, or 0 for no attention; got {side}."
    )
  if net.heads < 1 or net.head_width < 1:
    raise errors.UserError(
      "discriminator.heads and discriminator.head_width must be at least 1; "
      f"got {net.heads} and {net.head_width}."
    )
  if net.dtype not in DTYPES:
    raise errors.unknown("discriminator.dtype", net.dtype, DTYPES)

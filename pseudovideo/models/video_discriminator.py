"""The discriminator of the video VAEs' adversarial loss.

A PatchGAN (Isola et al. 2017) over clips: strided 3-D convolutions, so that
every logit belongs to a patch of a few frames, and no normalisation between
clips. IV-VAE trains with a "3D discriminator" and says no more of it; this one
is our choice.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from pseudovideo import errors
from pseudovideo.models import sizes
from pseudovideo.models.unet import DTYPES

_SLOPE = 0.2
_kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class VideoDiscriminator(nn.Module):
  """Logits of patches: large for real clips, small for made ones.

  Attributes:
    width: channels of the first layer; each layer doubles them ...
    max_width: ... up to this many.
    layers: layers that halve the sides and the frames, one frame staying one.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
  """

  width: int = 64
  max_width: int = 512
  layers: int = 3
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Runs the network.

    Args:
      x: (B, T, H, W, C) float in [-1, 1], any T; see `check`.

    Returns:
      (B, t, h, w) float32: t is T halved `layers` times, each time rounded up;
      h and w are H and W halved so often, rounded down.
    """
    dtype = jnp.dtype(self.dtype)
    h = x.astype(dtype)
    for level in range(self.layers):
      width = min(self.width * 2**level, self.max_width)
      layer = _conv(width, (3, 4, 4), 2, name=f"layer_{level}", dtype=dtype)
      h = nn.leaky_relu(layer(h), _SLOPE)
    h = _conv(1, (3, 3, 3), 1, name="logits", dtype=dtype)(h)
    return h[..., 0].astype(jnp.float32)


def _conv(features, kernel, stride, *, name, dtype):
  """Zeros stand before and behind all three axes, one deep."""
  return nn.Conv(
    features,
    kernel,
    strides=(stride,) * 3,
    padding=((1, 1),) * 3,
    kernel_init=_kernel_init,
    dtype=dtype,
    name=name,
  )


def check(net: VideoDiscriminator, image_shape: tuple[int, int, int]) -> None:
  """Refuses fields that cannot work together, before anything is compiled.

  Args:
    net: the network.
    image_shape: (H, W, C) of a frame.

  Raises:
    UserError: says which field, what it is, and what is allowed.
  """
  sizes.check("discriminator", net)
  if net.width < 1 or net.max_width < net.width:
    raise errors.UserError(
      "discriminator.width must be at least 1 and discriminator.max_width at "
      f"least as large; got {net.width} and {net.max_width}."
    )
  most = min(image_shape[:2]).bit_length() - 1
  if not 1 <= net.layers <= most:
    raise errors.UserError(
      "discriminator.layers must be at least 1 and, since each layer halves "
      f"images, at most {most} for those of {image_shape[0]}x"
      f"{image_shape[1]} pixels; got {net.layers}."
    )
  if net.dtype not in DTYPES:
    raise errors.unknown("discriminator.dtype", net.dtype, DTYPES)

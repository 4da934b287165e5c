"""The discriminator of the video VAEs' adversarial loss.

A PatchGAN (Isola et al. 2017) over clips: strided 3-D convolutions, so that
every logit belongs to a patch of a few frames, and no normalisation between
clips. IV-VAE trains with a "3D discriminator" and says no more of it; this one
is our choice.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from pseudovideo import errors
from pseudovideo.fields import Depth, Dtype, Width
from pseudovideo.models import discriminator

_SLOPE = 0.2
_kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class VideoDiscriminator(nn.Module):
  """Logits of patches: large for real clips, small for made ones.

  Attributes:
    width: channels of the first layer; each layer doubles them ...
    max_width: ... up to this many.
    layers: layers that halve the sides and the frames; one frame stays one.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
  """

  width: Width = 64
  max_width: Width = 512
  layers: Depth = 3
  dtype: Dtype = "float32"

  @nn.compact
  def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w"]:
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
  """A 3-D convolution, padded by one zero at both ends of its axes."""
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
    UserError: names the field, its value, and what is allowed.
  """
  discriminator.check_widths(net.width, net.max_width)
  most = min(image_shape[:2]).bit_length() - 1
  if net.layers > most:
    raise errors.UserError(
      "Each layer halves images, so discriminator.layers must be at most "
      f"{most} for images of {image_shape[0]}x{image_shape[1]} pixels; got "
      f"{net.layers}."
    )

"""The learnable encoder q(x_t | x_{t-1}) of the standard HVAE."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from pseudovideo import errors
from pseudovideo.models import layers, sizes, unet


class LatentEncoder(nn.Module):
  """A small residual conv net: mean x + f(x, t) and log scale s(x, t).

  The latent has the size of the image, so that the decoder can be the same
  network as that of a model with fixed corruptions. f starts at zero and s at
  `initial_sigma`: an untrained encoder adds a little noise to its input.

  Attributes:
    channels: width.
    blocks: residual blocks.
    groups: groups of every GroupNorm; must divide `channels`.
    initial_sigma: standard deviation at the start of training.
    min_log_sigma: lower end of the log scale.
    max_log_sigma: upper end of the log scale.
    dtype: `float32` or `bfloat16`, the type of the arithmetic.
  """

  channels: int = 16
  blocks: int = 1
  groups: int = 8
  initial_sigma: float = 0.1
  min_log_sigma: float = -7.0
  max_log_sigma: float = 0.7
  dtype: str = "float32"

  @nn.compact
  def __call__(
    self, x: jax.Array, timesteps: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """(B, H, W, C), (B,) -> mean and log sigma, each (B, H, W, C) float32."""
    dtype = jnp.dtype(self.dtype)
    c = x.shape[-1]
    embedding = layers.TimeEmbedding(self.channels, dtype, name="time")(
      timesteps
    )
    h = layers.conv(self.channels, c, name="stem", dtype=dtype)(x.astype(dtype))
    for i in range(self.blocks):
      h = layers.ResBlock(
        self.channels, self.groups, 0.0, "additive", dtype, name=f"block_{i}"
      )(h, embedding)
    h = nn.silu(layers.group_norm(self.groups, name="norm")(h)).astype(dtype)
    h = layers.conv(2 * c, self.channels, name="head", dtype=dtype, zero=True)(
      h
    )
    shift, log_scale = jnp.split(h.astype(jnp.float32), 2, axis=-1)
    log_sigma = jnp.log(self.initial_sigma) + log_scale
    return x + shift, jnp.clip(
      log_sigma, self.min_log_sigma, self.max_log_sigma
    )


def check(net: LatentEncoder) -> None:
  """Refuses fields that cannot work, before anything is compiled.

  Raises:
    UserError: says which field, what it is, and what is allowed.
  """
  sizes.check("encoder", net)
  if (
    net.groups < 1
    or net.channels < 2
    or net.channels % 2
    or (net.channels % net.groups)
  ):
    raise errors.UserError(
      "encoder.channels must be an even multiple of encoder.groups; got "
      f"channels={net.channels}, groups={net.groups}."
    )
  if net.blocks < 1:
    raise errors.UserError(
      f"encoder.blocks must be at least 1; got {net.blocks}."
    )
  if net.initial_sigma <= 0 or not (
    net.min_log_sigma < math.log(net.initial_sigma) < net.max_log_sigma
  ):
    raise errors.UserError(
      "log(encoder.initial_sigma) must lie between encoder.min_log_sigma and "
      f"encoder.max_log_sigma; got initial_sigma={net.initial_sigma}, bounds "
      f"{net.min_log_sigma} and {net.max_log_sigma}."
    )
  if net.dtype not in unet.DTYPES:
    raise errors.unknown("encoder.dtype", net.dtype, unet.DTYPES)

"""The learnable encoder q(x_t | x_{t-1}) of the standard HVAE."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from pseudovideo import errors
from pseudovideo.fields import Depth, Dtype, Positive, Width
from pseudovideo.models import layers


class LatentEncoder(nn.Module):
  """A small residual conv net: mean x + f(x, t) and log scale s(x, t).

  The latent has the size of the image, so that the decoder can be the same
  network as in a model with fixed corruptions. f starts at zero and s at
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

  channels: Width = 16
  blocks: Depth = 1
  groups: Width = 8
  initial_sigma: Positive = 0.1
  min_log_sigma: float = -7.0
  max_log_sigma: float = 0.7
  dtype: Dtype = "float32"

  @nn.compact
  def __call__(
    self, x: Float[Array, "B H W C"], timesteps: Real[Array, " B"]
  ) -> tuple[Float[Array, "B H W C"], Float[Array, "B H W C"]]:
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
    h = nn.silu(layers.GroupNorm(self.groups, name="norm")(h)).astype(dtype)
    h = layers.conv(2 * c, self.channels, name="head", dtype=dtype, zero=True)(
      h
    )
    shift, log_scale = jnp.split(h.astype(jnp.float32), 2, axis=-1)
    log_sigma = jnp.log(self.initial_sigma) + log_scale
    return x + shift, jnp.clip(
      log_sigma, self.min_log_sigma, self.max_log_sigma
    )


def check(net: LatentEncoder) -> None:
  """Refuses fields that cannot work together, before anything is compiled.

  Raises:
    UserError: names the fields, their values, and what is allowed.
  """
  layers.check_groups("encoder", net.channels, net.groups)
  least, most = net.min_log_sigma, net.max_log_sigma
  if not least < math.log(net.initial_sigma) < most:
    raise errors.UserError(
      "log(encoder.initial_sigma) must lie between encoder.min_log_sigma and "
      f"encoder.max_log_sigma; got initial_sigma={net.initial_sigma}, bounds "
      f"{least} and {most}."
    )

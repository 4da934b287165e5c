"""Convolutions, linear layers, and the norm of the video VAEs.

Arrays are (B, T, H, W, C); a convolution here sees one frame at a time. Kernels
start as PyTorch's, uniform on +-1/sqrt(fan_in), biases at zero.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo.models import convolution

_kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def conv(
  features: int,
  *,
  name: str,
  dtype: DTypeLike,
  stride: int = 1,
  padding: tuple[int, int] = (1, 1),
  dilation: int = 1,
) -> nn.Conv:
  """A 3x3 convolution; `padding` is before and after both axes."""
  return nn.Conv(
    features,
    (3, 3),
    strides=(stride, stride),
    padding=(padding, padding),
    kernel_dilation=(dilation, dilation),
    kernel_init=_kernel_init,
    dtype=dtype,
    conv_general_dilated=convolution.convolution,
    name=name,
  )


def dense(
  features: int, *, name: str, dtype: DTypeLike, zero: bool = False
) -> nn.Dense:
  """A linear layer over the channels, which is a 1x1 convolution."""
  return nn.Dense(
    features,
    kernel_init=nn.initializers.zeros_init() if zero else _kernel_init,
    dtype=dtype,
    name=name,
  )


class RMSNorm(nn.Module):
  """scale sqrt(C) x / max(|x|, 1e-12) over channels, each branch by itself.

  C and |x| refer to one branch. There is no mean, no bias and no statistic over
  time, places or examples: whatever is added to a clip, earlier frames keep
  their values.

  Attributes:
    branches: number of equal parts of the channels.
  """

  branches: int

  @nn.compact
  def __call__(self, x: Float[Array, "*S D"]) -> Float[Array, "*S D"]:
    """(..., branches C) -> the same shape, float32."""
    scale = self.param("scale", nn.initializers.ones_init(), x.shape[-1:])
    # (..., branches, C)
    parts = x.astype(jnp.float32).reshape(*x.shape[:-1], self.branches, -1)
    squares = jnp.sum(parts * parts, axis=-1, keepdims=True)
    # The root is taken of the bounded square, so that its gradient is finite.
    parts *= jax.lax.rsqrt(jnp.maximum(squares, 1e-24))
    parts *= math.sqrt(parts.shape[-1])
    return parts.reshape(x.shape) * scale.reshape(*(1,) * (x.ndim - 1), -1)

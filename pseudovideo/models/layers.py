"""Blocks shared by the U-Nets: residual, attention, resampling, time.

They follow improved DDPM (Nichol & Dhariwal 2021) and its descendants, the
heat-dissipation model (Rissanen et al. 2022) and flexible video diffusion
(Harvey et al. 2022); the flags are the points where these differ. Parameters
are float32; `dtype` is the type of the arithmetic, but normalisation and
softmax are always float32. Layers are initialised as in PyTorch, in which the
published models were trained: weight and bias uniform on +-1/sqrt(fan_in), and
zero where a block is to start as the identity.
"""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, Real

from pseudovideo import errors, keys
from pseudovideo.fields import Share
from pseudovideo.models import attention, convolution

Conditioning = Literal["additive", "scale_shift"]

_kernel_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def _bias_init(fan_in: int):
  bound = 1 / math.sqrt(fan_in)

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


def conv(
  features: int,
  in_features: int,
  *,
  name: str,
  dtype: DTypeLike,
  kernel: int = 3,
  stride: int = 1,
  zero: bool = False,
) -> nn.Conv:
  """A square convolution with symmetric zero padding (kernel - 1) / 2.

  Padding is explicit because 'SAME' pads asymmetrically at stride 2.
  """
  pad = (kernel - 1) // 2
  zeros = nn.initializers.zeros_init()
  return nn.Conv(
    features,
    (kernel, kernel),
    strides=(stride, stride),
    padding=((pad, pad), (pad, pad)),
    kernel_init=zeros if zero else _kernel_init,
    bias_init=zeros if zero else _bias_init(in_features * kernel * kernel),
    dtype=dtype,
    conv_general_dilated=convolution.convolution,
    name=name,
  )


def dense(
  features: int,
  in_features: int,
  *,
  name: str,
  dtype: DTypeLike,
  zero: bool = False,
) -> nn.Dense:
  """A linear layer over the last axis."""
  zeros = nn.initializers.zeros_init()
  return nn.Dense(
    features,
    kernel_init=zeros if zero else _kernel_init,
    bias_init=zeros if zero else _bias_init(in_features),
    dtype=dtype,
    name=name,
  )


class GroupNorm(nn.Module):
  """GroupNorm in float32 with PyTorch's epsilon, 1e-5 (Flax has 1e-6).

  Means are taken over places first, which go along memory, and then over the
  channels of a group. The variance is the mean square of what differs from the
  mean: that of E[x^2] - E[x]^2 would be rounding where the mean is large.

  Attributes:
    groups: number of groups; must divide the channels.
    axes: axes of the places that have statistics in common.
  """

  groups: int
  axes: tuple[int, ...] = (1, 2)

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "*S C"],
    scale: Float[Array, "*R C"] | None = None,
    shift: Float[Array, "*R C"] | None = None,
  ) -> Float[Array, "*S C"]:
    """Normalises; with `scale` and `shift`, n becomes n (1 + scale) + shift.

    Args:
      x: (..., C).
      scale: of as many axes as x, 1 along `axes`.
      shift: like `scale`.

    Returns:
      (..., C) float32.
    """
    x = x.astype(jnp.float32)
    ones = (1,) * (x.ndim - 1)
    gain = self.param("scale", nn.initializers.ones_init(), x.shape[-1:])
    bias = self.param("bias", nn.initializers.zeros_init(), x.shape[-1:])
    mean = self._of_groups(jnp.mean(x, self.axes, keepdims=True))
    centred = x - mean
    variance = jnp.mean(centred * centred, self.axes, keepdims=True)
    factor = jax.lax.rsqrt(self._of_groups(variance) + 1e-5)
    factor *= gain.reshape(*ones, -1)
    offset = bias.reshape(*ones, -1)
    if scale is not None and shift is not None:
      factor, offset = factor * (1 + scale), offset * (1 + scale) + shift
    return centred * factor + offset

  def _of_groups(self, means: jax.Array) -> jax.Array:
    """Each channel's mean is replaced by the mean of its group."""
    parts = means.reshape(*means.shape[:-1], self.groups, -1)
    parts = jnp.mean(parts, -1, keepdims=True)
    return jnp.repeat(parts, means.shape[-1] // self.groups, -1).reshape(
      means.shape
    )


def check_groups(section: str, channels: int, groups: int) -> None:
  """Refuses a width that GroupNorm or the embedding of time cannot split.

  Args:
    section: name of the config's section, for messages.
    channels: the base width of a network.
    groups: groups of every GroupNorm.

  Raises:
    UserError: `channels` is odd or no multiple of `groups`.
  """
  if channels % 2 or channels % groups:
    raise errors.UserError(
      f"{section}.channels must be an even multiple of {section}.groups; got "
      f"channels={channels}, groups={groups}."
    )


def timestep_embedding(
  timesteps: Real[Array, " B"], width: int
) -> Float[Array, "B {width}"]:
  """Sinusoidal embedding [cos | sin] with frequencies 10000^(-i/half).

  After Vaswani et al. 2017, Sec. 3.5, with all cosines before all sines.

  Args:
    timesteps: (B,) integers or floats.
    width: an even number; half = width / 2, i = 0 .. half - 1.

  Returns:
    (B, width) float32.
  """
  half = width // 2
  frequencies = jnp.exp(-math.log(10000) / half * jnp.arange(half))
  angles = timesteps.astype(jnp.float32)[:, None] * frequencies[None, :]
  return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def maybe_remat(
  module: type[nn.Module], remat: bool, static: tuple[int, ...] = ()
) -> type[nn.Module]:
  """The module, rematerialised for its gradient if `remat`.

  Only its input is then kept for the gradient, and its values are computed
  again. No parameter, value or gradient changes.

  Args:
    module: its name must be given when it is made.
    remat: whether to compute it again for the gradient.
    static: places of the arguments that are no arrays; `self` has place 0.
  """
  return nn.remat(module, static_argnums=static) if remat else module


class TimeEmbedding(nn.Module):
  """Sinusoid of width C, then Linear(4C), SiLU, Linear(4C).

  Attributes:
    channels: C, the base width of the network.
    dtype: type of the arithmetic.
  """

  channels: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, timesteps: Real[Array, " B"]) -> Float[Array, "B E"]:
    """(B,) -> (B, 4C)."""
    width = 4 * self.channels
    x = timestep_embedding(timesteps, self.channels)
    x = dense(width, self.channels, name="in", dtype=self.dtype)(x)
    return dense(width, width, name="out", dtype=self.dtype)(nn.silu(x))


class ExampleDropout(nn.Module):
  """Dropout whose mask belongs to the example, not to the batch.

  Attributes:
    rate: probability of a zero, in [0, 1).
  """

  rate: Share

  @nn.compact
  def __call__(
    self, x: Float[Array, " B *S"], key: Key[Array, "..."] | None
  ) -> Float[Array, " B *S"]:
    """(B, ...) -> (B, ...); `key` scalar or (B,), None switches it off."""
    if key is None or self.rate == 0:
      return x
    key = keys.example_keys(key, x.shape[0])
    key = keys.named(key, "/".join(self.path))
    keep = keys.uniform(key, x.shape) >= self.rate
    return jnp.where(keep, x / (1 - self.rate), 0).astype(x.dtype)


class ResBlock(nn.Module):
  """GroupNorm-SiLU-conv, time, GroupNorm-SiLU-dropout-zero conv, plus skip.

  Attributes:
    features: output channels.
    groups: groups of the normalisation; must divide input and output channels.
    dropout: rate, in [0, 1).
    conditioning: `additive` adds one number per channel before the second
      GroupNorm; `scale_shift` maps its output h to h (1 + scale) + shift.
    dtype: type of the arithmetic.
  """

  features: int
  groups: int = 32
  dropout: Share = 0.0
  conditioning: Conditioning = "scale_shift"
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B H W C"],
    embedding: Float[Array, "B E"],
    dropout_key: Key[Array, "..."] | None = None,
  ) -> Float[Array, "B H W {self.features}"]:
    """(B, H, W, C), (B, E) -> (B, H, W, features)."""
    width = self.features
    h = nn.silu(GroupNorm(self.groups, name="norm_in")(x)).astype(self.dtype)
    h = conv(width, x.shape[-1], name="conv_in", dtype=self.dtype)(h)
    shifted = self.conditioning == "scale_shift"
    e = dense(
      2 * width if shifted else width,
      embedding.shape[-1],
      name="time",
      dtype=self.dtype,
    )(nn.silu(embedding))[:, None, None, :]  # (B, 1, 1, width or 2 width)
    norm = GroupNorm(self.groups, name="norm_out")
    if shifted:
      h = norm(h, *jnp.split(e.astype(jnp.float32), 2, axis=-1))
    else:
      h = norm(h + e)
    h = nn.silu(h).astype(self.dtype)
    h = ExampleDropout(self.dropout, name="dropout")(h, dropout_key)
    h = conv(width, width, name="conv_out", dtype=self.dtype, zero=True)(h)
    if x.shape[-1] != width:
      x = conv(width, x.shape[-1], name="skip", dtype=self.dtype, kernel=1)(x)
    return x + h


class SelfAttention(nn.Module):
  """Multi-head attention over all positions, with a residual connection.

  The 3C channels of the `qkv` layer are q | k | v, each split into heads.

  Attributes:
    heads: number of heads; must divide the channels.
    groups: groups of the normalisation.
    dtype: type of the arithmetic (softmax in float32).
    residual_on_normed: return norm(x) + out instead of x + out, as the
      published code of flexible video diffusion does.
  """

  heads: int = 1
  groups: int = 32
  dtype: DTypeLike = jnp.float32
  residual_on_normed: bool = False

  @nn.compact
  def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """(B, H, W, C) -> (B, H, W, C)."""
    b, height, width, c = x.shape
    size = c // self.heads
    normed = GroupNorm(self.groups, name="norm")(x).astype(self.dtype)
    h = normed.reshape(b, height * width, c)
    qkv = dense(3 * c, c, name="qkv", dtype=self.dtype)(h)
    # Each (B, heads, H W, C / heads).
    q, k, v = qkv.reshape(b, height * width, 3, self.heads, size).transpose(
      2, 0, 3, 1, 4
    )
    scale = size**-0.25
    h = attention.mixed(attention.products(q * scale, k * scale), v)
    h = h.swapaxes(1, 2).reshape(b, height, width, c)
    h = dense(c, c, name="out", dtype=self.dtype, zero=True)(h)
    return (normed if self.residual_on_normed else x) + h


class Downsample(nn.Module):
  """3x3 convolution with stride 2."""

  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """(B, H, W, C) -> (B, H/2, W/2, C)."""
    c = x.shape[-1]
    return conv(c, c, name="conv", dtype=self.dtype, stride=2)(x)


class Upsample(nn.Module):
  """Nearest-neighbour doubling, then a 3x3 convolution."""

  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """(B, H, W, C) -> (B, 2H, 2W, C)."""
    c = x.shape[-1]
    x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    return conv(c, c, name="conv", dtype=self.dtype)(x)

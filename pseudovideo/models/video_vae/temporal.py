"""3x3x3 convolutions that see earlier frames, or frames of their group.

A convolution over time is a 3x3 convolution over the channels of the three
frames that it sees, concatenated: its kernel is (3, 3, 3 C, C'), rows of
channels ordered by time. Two-dimensional convolutions are fast on every device,
and the temporal taps are easy to read.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo.models.video_vae import cache, layers


def windows(
  x: Float[Array, "B T H W C"], taps: int
) -> Float[Array, "B t H W D"]:
  """Each frame with the frames before it, as channels.

  Args:
    x: (B, taps - 1 + T, H, W, C).
    taps: frames seen.

  Returns:
    (B, T, H, W, taps C), channels ordered by time.
  """
  num = x.shape[1] - taps + 1
  return jnp.concatenate([x[:, i : i + num] for i in range(taps)], axis=-1)


def zeros_before(
  x: Float[Array, "B T H W C"], count: int
) -> Float[Array, "B {count} H W C"]:
  """Frames of zeros, `count` of them, of the shape and type of x's frames."""
  return jnp.zeros((x.shape[0], count, *x.shape[2:]), x.dtype)


class CausalConv(nn.Module):
  """Frame t sees the frames t - 2, t - 1, t; zeros stand before the clip.

  Attributes:
    features: output channels.
    dtype: type of the arithmetic.
  """

  features: int
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, T, H, W, C) -> (B, T, H, W, features).

    `first` says whether the clip begins here, as in all layers of this package.
    """
    start = zeros_before(x, 2) if first else None
    x = cache.FramesBefore(2, name="before")(x, start)
    conv = layers.conv(self.features, name="causal", dtype=self.dtype)
    return conv(windows(x, 3))


class GroupCausalConv(nn.Module):
  """Frame t sees t - 1, t, t + 1, but no frame of a later group.

  Frame 0 is a group, then every `group` frames are. Frame 0 stands before the
  clip too; a zero frame stands behind each group (IV-VAE, Fig. 2a).

  Attributes:
    features: output channels.
    group: frames of a group.
    dtype: type of the arithmetic.
  """

  features: int
  group: int
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, T, H, W, C), whole groups -> (B, T, H, W, features)."""
    # Counted from the end: the last frame of a chunk ends a group, and so does
    # frame 0 of a clip, behind which there are whole groups.
    to_come = np.arange(x.shape[1])[::-1] % self.group
    start = x[:, :1] if first else None
    x = cache.FramesBefore(1, name="before")(x, start)
    past = windows(x, 2)
    ahead = jnp.concatenate([x[:, 2:], zeros_before(x, 1)], axis=1)
    ahead = jnp.where((to_come > 0)[None, :, None, None, None], ahead, 0)
    conv = layers.conv(self.features, name="group_causal", dtype=self.dtype)
    return conv(jnp.concatenate([past, ahead], axis=-1))

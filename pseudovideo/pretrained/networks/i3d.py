"""Inflated 3D Inception for RGB (Carreira & Zisserman 2017, arXiv 1705.07750).

Layers are named as in the PyTorch copies of the published network. All
padding is TensorFlow's SAME: as much as is needed, the odd pixel at the end.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

SIDE = 224
NUM_CLASSES = 400
# Fewer frames leave one step of time, and the last pool takes two.
FEWEST_FRAMES = 9

_max_pool = functools.partial(nn.max_pool, padding="SAME")

# Channels of each block: 1x1x1; 1x1x1 before 3x3x3; again; 1x1x1 behind a pool.
_BLOCKS = {
  "Mixed_3b": (64, 96, 128, 16, 32, 32),
  "Mixed_3c": (128, 128, 192, 32, 96, 64),
  "Mixed_4b": (192, 96, 208, 16, 48, 64),
  "Mixed_4c": (160, 112, 224, 24, 64, 64),
  "Mixed_4d": (128, 128, 256, 24, 64, 64),
  "Mixed_4e": (112, 144, 288, 32, 64, 64),
  "Mixed_4f": (256, 160, 320, 32, 128, 128),
  "Mixed_5b": (256, 160, 320, 32, 128, 128),
  "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Window of the pool before a block; the strides are 2 along every axis.
_POOLS = {"Mixed_4b": (3, 3, 3), "Mixed_5b": (2, 2, 2)}


class Unit(nn.Module):
  """A convolution without bias, fixed batch statistics and ReLU.

  Attributes:
    channels: channels of the output.
    epsilon: number added to the variances.
    kernel: size along every axis.
    stride: step along every axis.
  """

  channels: int
  epsilon: float
  kernel: int = 1
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, T, H, W, C) -> (B, T', H', W', channels), sizes rounded up."""
    x = nn.Conv(
      self.channels,
      (self.kernel,) * 3,
      (self.stride,) * 3,
      "SAME",
      use_bias=False,
      precision="highest",
      name="conv3d",
    )(x)
    norm = nn.BatchNorm(
      use_running_average=True, epsilon=self.epsilon, name="bn"
    )
    return nn.relu(norm(x))


class Mixed(nn.Module):
  """Four branches side by side.

  Attributes:
    channels: six numbers, for `b0`, `b1a`, `b1b`, `b2a`, `b2b`, `b3b`.
    epsilon: number added to the variances.
  """

  channels: tuple[int, ...]
  epsilon: float

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, T, H, W, C) -> (B, T, H, W, C'), C' the sum of the branches."""
    c0, c1a, c1b, c2a, c2b, c3b = self.channels
    unit = functools.partial(Unit, epsilon=self.epsilon)
    pooled = _max_pool(x, (3, 3, 3), (1, 1, 1))
    branches = [
      unit(c0, name="b0")(x),
      unit(c1b, kernel=3, name="b1b")(unit(c1a, name="b1a")(x)),
      unit(c2b, kernel=3, name="b2b")(unit(c2a, name="b2a")(x)),
      unit(c3b, name="b3b")(pooled),
    ]
    return jnp.concatenate(branches, axis=-1)


class Logits(nn.Module):
  """The 1x1x1 convolution to the classes."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, T, H, W, C) -> (B, T, H, W, 400)."""
    conv = nn.Conv(NUM_CLASSES, (1, 1, 1), precision="highest", name="conv3d")
    return conv(x)


class I3D(nn.Module):
  """The network, in inference: no dropout, no batch statistics of its own.

  Its variables have the collections `params` and `batch_stats`.

  Attributes:
    epsilon: number added to the variances; 1e-3 in the published graph.
    window: size of the last average pool (time, height, width); the published
      window covers the whole map of a 224x224 video.
  """

  epsilon: float = 1e-3
  window: tuple[int, int, int] = (2, 7, 7)

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Logits of the 400 classes of Kinetics.

    Args:
      x: (B, T, H, W, 3) float32 in [-1, 1], T >= 9; H and W such that the map
        at a 32nd of them, rounded up, holds the window: 224.

    Returns:
      (B, 400) float32, the mean over the positions of the window.
    """
    unit = functools.partial(Unit, epsilon=self.epsilon)
    x = unit(64, kernel=7, stride=2, name="Conv3d_1a_7x7")(x)
    x = _max_pool(x, (1, 3, 3), (1, 2, 2))
    x = unit(64, name="Conv3d_2b_1x1")(x)
    x = unit(192, kernel=3, name="Conv3d_2c_3x3")(x)
    x = _max_pool(x, (1, 3, 3), (1, 2, 2))
    for name, channels in _BLOCKS.items():
      if name in _POOLS:
        x = _max_pool(x, _POOLS[name], (2, 2, 2))
      x = Mixed(channels, self.epsilon, name=name)(x)
    x = nn.avg_pool(x, self.window, (1, 1, 1))
    return Logits(name="logits")(x).mean((1, 2, 3))

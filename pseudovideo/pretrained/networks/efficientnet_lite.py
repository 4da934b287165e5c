"""EfficientNet-Lite0, for inference, with batch norms folded into the kernels.

Tan & Le 2019 (arXiv 1905.11946) describe the family; the Lite networks of
TensorFlow (2020) leave out squeeze-and-excitation, take ReLU6 for swish, and
keep the widths of stem and head. Padding is TensorFlow's `SAME`, which for a
stride of two puts the odd pixel behind.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

NUM_FEATURES = 1280
NUM_CLASSES = 1000
STEM_CHANNELS = 32


class Stage(NamedTuple):
  """Blocks of one width.

  Attributes:
    repeats: number of blocks.
    kernel: side of the depthwise kernel.
    stride: step of the first block; the others have 1.
    expansion: channels inside a block for each that goes in.
    channels: channels that come out.
  """

  repeats: int
  kernel: int
  stride: int
  expansion: int
  channels: int


class Block(NamedTuple):
  """One block: as in `Stage`, with its own stride and the channels going in."""

  kernel: int
  stride: int
  expansion: int
  inputs: int
  channels: int


STAGES = (
  Stage(1, 3, 1, 1, 16),
  Stage(2, 3, 2, 6, 24),
  Stage(2, 5, 2, 6, 40),
  Stage(3, 3, 2, 6, 80),
  Stage(3, 5, 1, 6, 112),
  Stage(4, 5, 2, 6, 192),
  Stage(1, 3, 1, 6, 320),
)


def blocks() -> list[Block]:
  """The blocks of all stages, in order."""
  found, inputs = [], STEM_CHANNELS
  for repeats, kernel, stride, expansion, channels in STAGES:
    for place in range(repeats):
      step = 1 if place else stride
      found.append(Block(kernel, step, expansion, inputs, channels))
      inputs = channels
  return found


def _relu6(x: jax.Array) -> jax.Array:
  return jnp.clip(x, 0, 6)


class Depthwise(nn.Module):
  """A convolution of each channel with a kernel of its own, and a bias.

  It is a sum of shifted images, one for each weight of the kernel: XLA fuses
  them into one loop over channels, which is much faster on a CPU than its
  grouped convolution.

  Attributes:
    side: side of the kernel.
    stride: step along both axes.
  """

  side: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, ceil(H / stride), ceil(W / stride), C)."""
    shape = (self.side, self.side, x.shape[-1])
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, shape[-1:])
    sizes = [-(-size // self.stride) for size in x.shape[1:3]]
    pads = jax.lax.padtype_to_pads(
      x.shape[1:3], shape[:2], (self.stride, self.stride), "SAME"
    )
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    total = jnp.broadcast_to(bias, (len(x), *sizes, shape[-1]))
    kernel = kernel[:, :, None, None, None]
    for row in range(self.side):
      for column in range(self.side):
        rows, columns = (
          slice(start, start + (size - 1) * self.stride + 1, self.stride)
          for start, size in zip((row, column), sizes, strict=True)
        )
        total += kernel[row, column] * x[:, rows, columns]
    return total


class InvertedResidual(nn.Module):
  """Expansion, depthwise convolution, projection; a residual where it fits.

  Attributes:
    block: sizes.
  """

  block: Block

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, inputs) -> (B, ceil(H / s), ceil(W / s), channels)."""
    kernel, stride, expansion, inputs, channels = self.block
    y = x
    if expansion != 1:
      y = _relu6(_dense(expansion * inputs, "expand")(y))
    y = _relu6(Depthwise(kernel, stride, name="depthwise")(y))
    y = _dense(channels, "project")(y)
    return x + y if stride == 1 and inputs == channels else y


def _dense(channels: int, name: str) -> nn.Dense:
  """A 1x1 convolution."""
  return nn.Dense(channels, precision="highest", name=name)


class EfficientNetLite0(nn.Module):
  """The whole network; its variables have the one collection `params`."""

  @nn.compact
  def __call__(self, x: jax.Array) -> dict[str, Any]:
    """Features and logits.

    Args:
      x: (B, H, W, 3), grey values g of 0..255 as (g - 127) / 128.

    Returns:
      `features` (B, 1280), the mean over pixels of what the head gives, in
      [0, 6]; `logits` (B, 1000) over the classes of ImageNet.
    """
    x = nn.Conv(
      STEM_CHANNELS, (3, 3), (2, 2), "SAME", precision="highest", name="stem"
    )(x)
    x = _relu6(x)
    for place, block in enumerate(blocks()):
      x = InvertedResidual(block, name=f"block{place}")(x)
    x = _relu6(_dense(NUM_FEATURES, "head")(x))
    features = x.mean(axis=(1, 2))
    return {
      "features": features,
      "logits": _dense(NUM_CLASSES, "logits")(features),
    }

"""Key and motion branches, which own equal parts of all channels.

With two branches (IV-VAE, Sec. 3.3) the first half of the channels is the key
branch, which represents the first frame of each group, the second half the
motion branch. The convolution pairs read both.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from pseudovideo.models.video_vae import layers, temporal

# Names of the branches, and which of them see other frames.
BRANCHES = {
  "image": {"key": False},
  "motion": {"motion": True},
  "key_motion": {"key": False, "motion": True},
  "motion_motion": {"key": True, "motion": True},
}
CONVOLUTIONS = ("causal", "group_causal")


@dataclasses.dataclass(frozen=True)
class Design:
  """What the blocks of a network have in common.

  Attributes:
    branches: one of `BRANCHES`.
    convolution: one of `CONVOLUTIONS`.
    dtype: type of the arithmetic; norms and softmax are float32.
    remat: whether residual blocks and attention are computed again for their
      gradient.
  """

  branches: str
  convolution: str
  dtype: jnp.dtype
  remat: bool = False

  @property
  def names(self) -> tuple[str, ...]:
    """Of the branches, in the order of their channels."""
    return tuple(BRANCHES[self.branches])

  def kinds(self, group: int) -> dict[str, str]:
    """The 3x3 layers of a unit: name, and `frame` or one of `CONVOLUTIONS`.

    Args:
      group: frames of a group. Of one frame there is nothing to see ahead: two
        branches then share one convolution of frames, a lone one looks back.
    """
    sees_others = BRANCHES[self.branches]
    if group == 1 and (len(sees_others) > 1 or not any(sees_others.values())):
      return {"conv": "frame"}
    moving = self.convolution if group > 1 else "causal"
    return {
      name: moving if moves else "frame" for name, moves in sees_others.items()
    }


def each(x: jax.Array, names: tuple[str, ...], layer: Callable) -> jax.Array:
  """Every branch through a layer of its own: `layer(name, its channels)`."""
  parts = jnp.split(x, len(names), axis=-1)
  return jnp.concatenate(
    [layer(*pair) for pair in zip(names, parts, strict=True)], axis=-1
  )


class Unit(nn.Module):
  """A 3x3 convolution for each branch, of all channels (KTC unit, Fig. 2b).

  Attributes:
    design: of the network.
    features: output channels of all branches together.
    group: frames of a group.
  """

  design: Design
  features: int
  group: int

  @nn.compact
  def __call__(self, x: jax.Array, first: bool) -> jax.Array:
    """(B, T, H, W, C) -> (B, T, H, W, features)."""
    kinds = self.design.kinds(self.group)
    dtype, width = self.design.dtype, self.features // len(kinds)
    parts = []
    for name, kind in kinds.items():
      if kind == "frame":
        parts.append(layers.conv(width, name=name, dtype=dtype)(x))
      elif kind == "causal":
        conv = temporal.CausalConv(width, dtype, name=name)
        parts.append(conv(x, first))
      else:
        conv = temporal.GroupCausalConv(width, self.group, dtype, name=name)
        parts.append(conv(x, first))
    return jnp.concatenate(parts, axis=-1)


class Pointwise(nn.Module):
  """A 1x1 convolution for each branch, of all channels.

  Attributes:
    design: of the network.
    features: output channels of all branches together.
  """

  design: Design
  features: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, T, H, W, C) -> (B, T, H, W, features)."""
    names = self.design.names
    width = self.features // len(names)
    parts = [
      layers.dense(width, name=name, dtype=self.design.dtype)(x)
      for name in names
    ]
    return jnp.concatenate(parts, axis=-1)

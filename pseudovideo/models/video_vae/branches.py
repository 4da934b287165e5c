"""Key and motion branches, which have equal parts of all channels.

With two branches (IV-VAE, Sec. 3.3) the first half of the channels is the key
branch, which represents the first frame of each group, the second half the
motion branch. The convolution pairs read both.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo.models.video_vae import layers, temporal

Branches = Literal["image", "motion", "key_motion", "motion_motion"]
Convolution = Literal["causal", "group_causal"]

# Names of the branches -> whether they see other frames.
BRANCHES: dict[Branches, dict[str, bool]] = {
  "image": {"key": False},
  "motion": {"motion": True},
  "key_motion": {"key": False, "motion": True},
  "motion_motion": {"key": True, "motion": True},
}


@dataclasses.dataclass(frozen=True)
class Design:
  """The choices that all blocks of a network share.

  Attributes:
    branches: a key of `BRANCHES`.
    convolution: the kind of the convolutions over time.
    dtype: type of the arithmetic; norms and softmax are float32.
    remat: whether residual blocks and attention are computed again for their
      gradient.
  """

  branches: Branches
  convolution: Convolution
  dtype: DTypeLike
  remat: bool = False

  @property
  def names(self) -> tuple[str, ...]:
    """Names of the branches, in the order of their channels."""
    return tuple(BRANCHES[self.branches])

  def kinds(self, group: int) -> dict[str, str]:
    """The 3x3 layers of a unit: name, and `frame` or a `Convolution`.

    Args:
      group: frames of a group. A group of one frame has no frame ahead to see:
        two branches then share one convolution of frames, and a lone branch
        looks back.
    """
    sees_others = BRANCHES[self.branches]
    if group == 1 and (len(sees_others) > 1 or not any(sees_others.values())):
      return {"conv": "frame"}
    moving = self.convolution if group > 1 else "causal"
    return {
      name: moving if moves else "frame" for name, moves in sees_others.items()
    }


def each(
  x: Float[Array, "B T H W C"],
  names: tuple[str, ...],
  layer: Callable[[str, Array], Array],
) -> Float[Array, "B t h w c"]:
  """Runs every branch through its own layer: `layer(name, its channels)`."""
  parts = jnp.split(x, len(names), axis=-1)
  return jnp.concatenate(
    [layer(*pair) for pair in zip(names, parts, strict=True)], axis=-1
  )


class Unit(nn.Module):
  """A 3x3 convolution for each branch, of all channels (KTC unit, Fig. 2b).

  Attributes:
    design: choices that all blocks share.
    features: output channels of all branches together.
    group: frames of a group.
  """

  design: Design
  features: int
  group: int

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, T, H, W, C) -> (B, T, H, W, features)."""
    kinds = self.design.kinds(self.group)
    dtype, width = self.design.dtype, self.features // len(kinds)
    parts = []
    for name, kind in kinds.items():
      if kind == "frame":
        parts.append(layers.conv(width, name=name, dtype=dtype)(x))
      elif kind == "causal":
        causal = temporal.CausalConv(width, dtype, name=name)
        parts.append(causal(x, first))
      else:
        conv = temporal.GroupCausalConv(width, self.group, dtype, name=name)
        parts.append(conv(x, first))
    return jnp.concatenate(parts, axis=-1)


class Pointwise(nn.Module):
  """A 1x1 convolution for each branch, of all channels.

  Attributes:
    design: choices that all blocks share.
    features: output channels of all branches together.
  """

  design: Design
  features: int

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"]
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, T, H, W, C) -> (B, T, H, W, features)."""
    names = self.design.names
    width = self.features // len(names)
    parts = [
      layers.dense(width, name=name, dtype=self.design.dtype)(x)
      for name in names
    ]
    return jnp.concatenate(parts, axis=-1)

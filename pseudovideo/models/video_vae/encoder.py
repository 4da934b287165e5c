"""From a clip to the numbers that the latents' distribution is made of."""

import flax.linen as nn
import jax

from pseudovideo.models.video_vae import blocks, branches, geometry, resampling


class Encoder(nn.Module):
  """Stem, levels of residual blocks, middle, head.

  Attributes:
    design: of the network.
    widths: channels of each level, of all branches together.
    blocks: residual blocks per level.
    temporal: whether time is halved behind each level but the last.
    attention: places of `iv_vae.ATTENTION`.
    rates: dilations of the head; none: it is a plain 3x3 layer.
    features: output channels, twice those of the latents.
  """

  design: branches.Design
  widths: tuple[int, ...]
  blocks: int
  temporal: tuple[bool, ...]
  attention: tuple[str, ...]
  rates: tuple[int, ...]
  features: int

  @nn.compact
  def __call__(self, x: jax.Array, first: bool) -> jax.Array:
    """(B, T, H, W, C) -> (B, t, h, w, features)."""
    design, width = self.design, self.widths
    groups = geometry.group_sizes(self.temporal)
    last = len(width) - 1

    def block(h, level, name):
      layer = blocks.ResBlock(design, width[level], groups[level], name=name)
      return layer(h, first)

    def attend(h, place, name):
      if place not in self.attention:
        return h
      return blocks.Attention(design, name=f"{name}_attention")(h)

    h = branches.Unit(design, width[0], groups[0], name="stem")(x, first)
    for level in range(last):
      for i in range(self.blocks):
        h = block(h, level, f"level_{level}_{i}")
      down = resampling.Downsample(
        design, self.temporal[level], name=f"level_{level}_down"
      )
      h = down(h, first)
    h = attend(h, "down", f"level_{last - 1}_down")
    for i in range(self.blocks):
      h = block(h, last, f"level_{last}_{i}")
      h = attend(h, "blocks", f"level_{last}_{i}")
    h = block(h, last, "middle_0")
    h = attend(h, "middle", "middle")
    h = block(h, last, "middle_1")
    h = blocks.NormSilu(design, name="norm")(h)
    if self.rates:
      head = blocks.ParallelDilated(
        design, self.features, self.rates, name="head"
      )
      return head(h)
    return branches.Unit(design, self.features, 1, name="head")(h, first)

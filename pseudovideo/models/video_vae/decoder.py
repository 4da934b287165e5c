"""From latents to the clip, once per branch."""

import flax.linen as nn
import jax

from pseudovideo.models.video_vae import blocks, branches, geometry, resampling


class Decoder(nn.Module):
  """Stem, middle, levels of residual blocks from the deepest to 0, head.

  Attributes:
    design: of the network.
    widths: channels of each level, of all branches together.
    blocks: residual blocks per level.
    temporal: whether time is halved behind each level but the last; here it is
      doubled there.
    attention: places of `iv_vae.ATTENTION`.
    features: output channels, the images' for each branch.
  """

  design: branches.Design
  widths: tuple[int, ...]
  blocks: int
  temporal: tuple[bool, ...]
  attention: tuple[str, ...]
  features: int

  @nn.compact
  def __call__(self, z: jax.Array, first: bool) -> jax.Array:
    """(B, t, h, w, Z) -> (B, T, H, W, features)."""
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

    h = branches.Unit(design, width[last], 1, name="stem")(z, first)
    h = block(h, last, "middle_0")
    h = attend(h, "middle", "middle")
    h = block(h, last, "middle_1")
    for level in reversed(range(last + 1)):
      for i in range(self.blocks):
        h = block(h, level, f"level_{level}_{i}")
        if level == last:
          h = attend(h, "blocks", f"level_{level}_{i}")
      if level > 0:
        up = resampling.Upsample(
          design, self.temporal[level - 1], name=f"level_{level}_up"
        )
        h = up(h, first)
    h = blocks.NormSilu(design, name="norm")(h)
    return branches.Unit(design, self.features, groups[0], name="head")(
      h, first
    )

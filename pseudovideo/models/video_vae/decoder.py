"""From latents to the clip, once per branch."""

import flax.linen as nn
import jax

from pseudovideo.models.video_vae import blocks, branches, geometry, resampling


class Decoder(blocks.Levels):
  """Stem, middle, levels of residual blocks from the deepest to 0, head."""

  @nn.compact
  def __call__(self, z: jax.Array, first: bool) -> jax.Array:
    """(B, t, h, w, Z) -> (B, T, H, W, features)."""
    design, last = self.design, len(self.widths) - 1
    h = branches.Unit(design, self.widths[last], 1, name="stem")(z, first)
    h = self.middle(h, first)
    for level in reversed(range(last + 1)):
      for i in range(self.blocks):
        h = self.block(h, level, f"level_{level}_{i}", first)
        if level == last:
          h = self.attend(h, "blocks", f"level_{level}_{i}")
      if level > 0:
        up = resampling.Upsample(
          design, self.temporal[level - 1], name=f"level_{level}_up"
        )
        h = up(h, first)
    h = blocks.NormSilu(design, name="norm")(h)
    group = geometry.temporal_factor(self.temporal)
    head = branches.Unit(design, self.features, group, name="head")
    return head(h, first)

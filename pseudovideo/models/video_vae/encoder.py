"""From a clip to the numbers that the latents' distribution is made of."""

import flax.linen as nn
import jax

from pseudovideo.models.video_vae import blocks, branches, geometry, resampling


class Encoder(blocks.Levels):
  """Stem, levels of residual blocks, middle, head.

  Attributes:
    rates: dilations of the head; none: it is a plain 3x3 layer.
  """

  rates: tuple[int, ...]

  @nn.compact
  def __call__(self, x: jax.Array, first: bool) -> jax.Array:
    """(B, T, H, W, C) -> (B, t, h, w, features)."""
    design, last = self.design, len(self.widths) - 1
    group = geometry.temporal_factor(self.temporal)
    h = branches.Unit(design, self.widths[0], group, name="stem")(x, first)
    for level in range(last):
      for i in range(self.blocks):
        h = self.block(h, level, f"level_{level}_{i}", first)
      down = resampling.Downsample(
        design, self.temporal[level], name=f"level_{level}_down"
      )
      h = down(h, first)
    h = self.attend(h, "down", f"level_{last - 1}_down")
    for i in range(self.blocks):
      h = self.block(h, last, f"level_{last}_{i}", first)
      h = self.attend(h, "blocks", f"level_{last}_{i}")
    h = self.middle(h, first)
    h = blocks.NormSilu(design, name="norm")(h)
    if self.rates:
      head = blocks.ParallelDilated(
        design, self.features, self.rates, name="head"
      )
      return head(h)
    return branches.Unit(design, self.features, 1, name="head")(h, first)

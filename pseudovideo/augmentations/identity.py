"""The pseudo video of one frame: the image, for 1-frame baselines."""

import dataclasses

import jax

from pseudovideo.augmentations import common
from pseudovideo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Identity:
  """A video of the image alone.

  Attributes:
    frames: 1.
  """

  frames: int = 1

  def __post_init__(self):
    if self.frames != 1:
      raise UserError(
        f"The augmentation 'identity' makes videos of 1 frame; got "
        f"frames={self.frames!r}. Set frames=1 or choose another augmentation."
      )

  def __call__(
    self, images: jax.Array, *, key: jax.Array | None = None
  ) -> jax.Array:
    """(B, H, W, C) float32 -> (B, 1, H, W, C); draws nothing from `key`."""
    return common.append_image(images[:, None][:, :0], images)

"""An example as it is: the image, for 1-frame baselines, or the clip."""

import dataclasses

import jax

from pseudovideo.augmentations import common
from pseudovideo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Identity:
  """A video of the image alone; of a data set of clips, the clip.

  Attributes:
    frames: 1 of images, T of clips.
  """

  frames: int = 1

  def __post_init__(self):
    if self.frames < 1:
      raise UserError(
        "The augmentation 'identity' has frames=1 for images, or as many as "
        f"the clips of the data set; got frames={self.frames!r}."
      )
    common.check_most(self.frames)

  def __call__(
    self, images: jax.Array, *, key: jax.Array | None = None
  ) -> jax.Array:
    """float32 (B, H, W, C) -> (B, 1, H, W, C), or clips (B, T, H, W, C).

    Clips are returned bit for bit. Nothing is drawn from `key`.

    Raises:
      UserError: examples of another number of frames.
    """
    video = images[:, None] if images.ndim == 4 else images
    if video.shape[1] != self.frames:
      raise UserError(
        f"The augmentation 'identity' with frames={self.frames} was given "
        f"examples of {video.shape[1]}; a model of clips takes clips of its "
        "own length only, so use one of pseudo videos for images."
      )
    return common.append_image(video[:, :-1], video[:, -1])

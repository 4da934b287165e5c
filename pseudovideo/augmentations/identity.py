"""An example as it is: the image, for 1-frame baselines, or the clip."""

import dataclasses

from jaxtyping import Array, Float32

from pseudovideo import fields, keys
from pseudovideo.augmentations import common
from pseudovideo.errors import UserError
from pseudovideo.shapes import AnyArray


@dataclasses.dataclass(frozen=True)
class Identity:
  """The image as a video of one frame; a clip as it is.

  Attributes:
    frames: 1 for images, T for clips.
  """

  frames: common.Frames = 1

  def __post_init__(self):
    fields.check(self, "augmentation")

  def __call__(
    self,
    images: Float32[AnyArray, "B *T H W C"],
    *,
    key: keys.Keys | None = None,
  ) -> Float32[Array, "B T H W C"]:
    """Images as videos of one frame; clips as they are, bit for bit.

    Nothing is drawn from `key`.

    Raises:
      UserError: examples of another number of frames.
    """
    video = images[:, None] if images.ndim == 4 else images
    if video.shape[1] != self.frames:
      raise UserError(
        f"The augmentation 'identity' with frames={self.frames} was given "
        f"examples of {video.shape[1]} frames; a model of clips takes clips of "
        "its own length only, so for images use a model of pseudo videos."
      )
    return common.append_image(video[:, :-1], video[:, -1])

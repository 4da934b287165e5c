"""Movie Gen's temporal autoencoder as a task; see `models.video_vae.tae`.

Loss, discriminator and mixed batches are those of `video_vae`. Movie Gen says
that one batch of images goes with three of videos, which is `image_share` of
0.25, and that the network begins as an image VAE, which is `start`.
"""

import dataclasses

from pseudovideo.models.video_vae import tae
from pseudovideo.tasks import video_vae


@dataclasses.dataclass(frozen=True)
class VideoTAE(video_vae.VideoVAE):
  """Task `video_tae`; pixels in [-1, 1], clips of any length.

  Every latent depends on all frames. In both orders the clean image shares its
  latents with the others: they are not those of the image alone.

  Attributes:
    model: encoder and decoder; others as in `VideoVAE`.
  """

  model: tae.TAE

  last_layer = ("decoder", "head_time")
  group = 1
  """No frame stands alone in front of groups, and no frames within a group can
  be told apart: the last group may be cut off anywhere."""

  def decode(self, params, latents, frames: int):
    """See `VideoVAE.decode`; frames behind the clip's end are dropped."""
    return self.in_order(self._network(params, "decode", latents, frames))

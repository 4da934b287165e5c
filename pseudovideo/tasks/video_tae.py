"""Movie Gen's temporal autoencoder as a task; see `models.video_vae.tae`.

Loss, discriminator and mixed batches are those of `video_vae`. Movie Gen says
that one batch of images goes with three of videos, which is `image_share` of
0.25, and that the network begins as an image VAE, which is `start`.
"""

import dataclasses

import jax
import jax.numpy as jnp

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

  model: tae.TAE  # type: ignore[assignment]  # Used as an IVVAE is.

  last_layer = ("decoder", "head_time")
  group = 1
  """No frame stands alone in front of groups, and no frames within a group can
  be told apart: the last group may be cut off anywhere."""

  def _inflated(self, image_params, key):
    """See `VideoVAE`; attention over time, which no image has, is random."""
    side = self.model.spatial_factor
    image = jnp.zeros((1, 1, side, side, self.model.image_channels))
    fresh = jax.jit(self.model.init)(key, image)["params"]
    return jax.tree.map(jnp.asarray, tae.inflate(image_params, fresh))

  def decode(self, params, latents, frames: int):
    """See `VideoVAE.decode`; frames behind the clip's end are dropped."""
    return self.in_order(self._network(params, "decode", latents, frames))

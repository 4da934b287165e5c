"""Movie Gen's temporal autoencoder as a task; see `models.video_vae.tae`.

Loss, discriminator and mixed batches are as in `video_vae`. Movie Gen says that
one batch of images goes with three of videos, hence `image_share` is 0.25, and
that the network begins as an image VAE, hence `start`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from pseudovideo import compiling
from pseudovideo.models.video_vae import tae
from pseudovideo.tasks import video_vae


@dataclasses.dataclass(frozen=True)
class VideoTAE(video_vae.VideoVAE):
  """Task `video_tae`; pixels in [-1, 1], clips of any length.

  Every latent depends on all frames. In both orders the clean image shares its
  latents with other frames: no latent belongs to the image alone.

  Attributes:
    model: encoder and decoder; other fields as in `VideoVAE`.
  """

  model: tae.TAE  # type: ignore[assignment]  # Used as an IVVAE is.

  last_layer = ("decoder", "head_time")
  group = 1
  """Groups do not begin behind a lone frame, and the last group may be cut off
  anywhere, so that frames have no places in a group."""

  def _inflated(self, image_params, key):
    """See `VideoVAE`; attention over time, which no image has, is random."""
    side = self.model.spatial_factor
    image = jnp.zeros((1, 1, side, side, self.model.image_channels))
    fresh = compiling.once(self.model.init)(key, image)["params"]
    return jax.tree.map(jnp.asarray, tae.inflate(image_params, fresh))

  def decode(self, params, latents, frames: int):
    """See `VideoVAE.decode`; frames behind the clip's end are dropped."""
    return self.in_order(self._network(params, "decode", latents, frames))

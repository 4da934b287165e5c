"""The video U-Net of flexible video diffusion (Harvey et al. 2022).

It is the image U-Net with two changes. First, frames pass through the
convolutions independently, and wherever the image network attends over pixels,
temporal attention comes first. Second, a fourth input channel says which frames
are observed; these enter clean, the other frames noisy.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key, Real

from pseudovideo import compiling, fields, keys
from pseudovideo.models import layers, temporal, unet


class VideoUNet(unet.UNet):
  """Predicts frame-shaped arrays for a window of frames.

  Attributes:
    residual_on_normed: attention layers return norm(x) + out, as the published
      code does; False gives the usual x + out.
  """

  residual_on_normed: bool = True

  @nn.compact
  def __call__(  # type: ignore[override]  # a video has more inputs
    self,
    x: Float[Array, "B T H W C"],
    timesteps: Real[Array, " B"],
    *,
    x0: Float[Array, "B T H W C"],
    observed: Real[Array, "B T"],
    latent: Real[Array, "B T"],
    frame_indices: Integer[Array, "B T"],
    dropout_key: Key[Array, "..."] | None = None,
  ) -> Float[Array, "B T H W out"]:
    """Runs the network.

    Frames that are neither observed nor latent are padding: no other frame
    sees them through attention.

    Args:
      x: (B, T, H, W, C) float, the noisy frames.
      timesteps: (B,) diffusion time, one for all frames, embedded unscaled.
      x0: (B, T, H, W, C), the clean frames; only observed ones are used.
      observed: (B, T) 1 where a frame is given.
      latent: (B, T) 1 where a frame is to be generated.
      frame_indices: (B, T) integers, the frames' places in the video.
      dropout_key: PRNG key, scalar or (B,); None switches dropout off.

    Returns:
      (B, T, H, W, out_channels) float32; meaningless for observed frames.
    """
    dtype = jnp.dtype(self.dtype)
    b, t, height, width, channels = x.shape
    embedding = layers.TimeEmbedding(self.channels, dtype, name="time")(
      timesteps
    )
    positions = temporal.position_features(frame_indices)
    real = (observed + latent) > 0
    together = real[:, :, None] == real[:, None, :]  # (B, T, T)
    over_frames = layers.maybe_remat(temporal.TemporalAttention, self.remat)
    within_frames = layers.maybe_remat(layers.SelfAttention, self.remat)

    def attend(h, name):
      """(B T, h, w, c) -> the same shape, over frames and then within them."""
      frames = over_frames(
        self.heads,
        self.groups,
        dtype,
        self.residual_on_normed,
        name=f"{name}_temporal",
      )(h.reshape(b, t, *h.shape[1:]), embedding, positions, together)
      return within_frames(
        self.heads,
        self.groups,
        dtype,
        self.residual_on_normed,
        name=f"{name}_attention",
      )(frames.reshape(h.shape))

    given = (observed > 0)[:, :, None, None, None]
    h = jnp.where(given, x0, x)
    h = jnp.concatenate([h, jnp.broadcast_to(given, (*x.shape[:4], 1))], -1)
    h = unet.torso(
      self,
      h.reshape(b * t, height, width, channels + 1),
      jnp.repeat(embedding, t, axis=0),
      attend,
      _per_frame(dropout_key, b, t),
      self.out_channels or channels,
    )
    return h.reshape(b, t, height, width, -1)


def image_unet(net: VideoUNet) -> unet.UNet:
  """The image network of the same width and depth."""
  names = fields.named_fields(unet.UNet, ("parent", "name"))
  return unet.UNet(**{name: getattr(net, name) for name in names})


def _per_frame(key: jax.Array | None, b: int, t: int) -> jax.Array | None:
  """(B T,) keys, one per frame."""
  if key is None:
    return None
  key = keys.example_keys(key, b)
  frames = [keys.numbered(key, i) for i in range(t)]
  return jnp.stack(frames, axis=1).reshape(b * t)


def init(
  net: VideoUNet,
  key: Key[Array, ""],
  image_shape: tuple[int, int, int],
  frames: int,
) -> dict[str, Any]:
  """Draws the parameters for windows of `frames` images (H, W, C).

  They do not depend on the number of frames.
  """
  x = jnp.zeros((1, frames, *image_shape))
  mask = jnp.ones((1, frames))
  run = functools.partial(
    net.init,
    x0=x,
    observed=0 * mask,
    latent=mask,
    frame_indices=jnp.arange(frames)[None],
  )
  return compiling.once(run)(key, x, jnp.zeros((1,)))["params"]

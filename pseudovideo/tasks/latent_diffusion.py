"""Diffusion in the latents of a frozen video VAE.

The VAE encodes the pseudo video of an image, in its own order. With `reversed`
the clean image is frame 0 and has a latent frame of its own, the latent of the
image alone; with `forward` it belongs to the last latent frame. All latent
frames are generated jointly, in one window, and decoded. With one frame this is
the latent diffusion of images, by the image U-Net.

The network sees scale * (z - shift), of mean 0 and variance 1 over training
images, see `first_stages.latents`. Latents have no bounds: unlike for pixels,
no estimate is clamped on the way; decoded frames are.
"""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from pseudovideo import errors, keys, pixels
from pseudovideo.diffusion import process as processes
from pseudovideo.models import video_unet
from pseudovideo.samplers import settings, windows
from pseudovideo.tasks import (
  base,
  first_stage,
  image_diffusion,
  video_vae,
  windowed_diffusion,
)


class LatentImages(image_diffusion.ImageDiffusion):
  """The image diffusion of videos of one latent frame."""

  clipped = False

  def video_loss(self, params, extra, video, *, key, train):
    """`image_loss` of (B, 1, h, w, Z)."""
    return self.image_loss(params, extra, video[:, 0], key=key, train=train)


@dataclasses.dataclass(frozen=True)
class LatentVideos(windowed_diffusion.WindowedDiffusion):
  """Diffusion of all frames of a latent video at once; see its base."""

  image_shape: tuple[int, int, int]
  frames: int
  image_place: int
  model: video_unet.VideoUNet
  process: processes.Process
  sampler: settings.ChainSampler

  loss_over = "latent"

  @property
  def stages(self) -> tuple[windows.Stage, ...]:
    """One stage, of all frames."""
    return windows.autoregressive(self.frames, self.frames)


@dataclasses.dataclass(frozen=True)
class LatentDiffusion(base.Defaults):
  """Task `latent_diffusion`; pixels in [-1, 1].

  Attributes:
    image_shape: (H, W, C).
    coder: the VAE's task; follows from `autoencoder`.
    autoencoder: the run of the task `video_vae` whose latents are learned.
    model: the network; for one frame, the image network of the same fields,
      which has no `residual_on_normed`.
    process: the chain and the loss.
    sampler: how latents are drawn; may change after training.
    binarize: the same as the VAE's.
    latents: `sampled` from the VAE's posterior whenever an image is seen, or
      its `means`. Scale and shift are taken from sampled latents in both cases.
  """

  image_shape: tuple[int, int, int]
  coder: video_vae.VideoVAE
  autoencoder: first_stage.Source
  model: video_unet.VideoUNet
  process: processes.Process
  sampler: settings.ChainSampler
  binarize: pixels.Binarize = "none"
  latents: Literal["sampled", "means"] = "sampled"

  value_range = (-1.0, 1.0)
  needs = ("autoencoder",)
  derived = ("out_channels",)

  @property
  def denoiser(self) -> LatentImages | LatentVideos:
    """The diffusion of given latents, (t, h, w, Z)."""
    frames, *shape = self.coder.latent_shape
    height, width, channels = shape
    if frames == 1:
      return LatentImages(
        (height, width, channels),
        model=video_unet.image_unet(self.model),
        process=self.process,
        sampler=self.sampler,  # type: ignore[arg-type]  # It reads no more.
      )
    return LatentVideos(
      (height, width, channels),
      frames,
      image_place=0 if self.coder.order == "reversed" else frames - 1,
      model=self.model,
      process=self.process,
      sampler=self.sampler,
    )

  @property
  def num_stages(self) -> int:
    """Number of chains: one draws all latent frames."""
    return self.denoiser.num_stages

  @property
  def network_evaluations(self) -> int:
    """Evaluations of the network; the decoder comes on top, once."""
    return self.denoiser.network_evaluations

  def check(self) -> None:
    """See `base.Task.check`."""
    first_stage.AUTOENCODER.check(self.coder, self.binarize)
    _, height, width, _ = self.coder.latent_shape
    factor = 2 ** (len(self.model.multipliers) - 1)
    if height % factor or width % factor:
      raise errors.UserError(
        f"model.multipliers has {len(self.model.multipliers)} levels, so that "
        f"sides of latents must be divisible by {factor}; the autoencoder "
        f"makes them {height}x{width}. Use fewer levels."
      )
    self.denoiser.check()

  def init(self, key, data, *, autoencoder, scaling):
    """See `base.Task.init`; both arguments are kept in `extra`.

    Args:
      key: scalar key.
      data: not read.
      autoencoder: the VAE's weights, see `first_stage.Kind.frozen`.
      scaling: scale and shift, see `first_stages.latents`.
    """
    del data
    params, extra = self.denoiser.init(key, None)
    frozen = {
      "autoencoder": autoencoder,
      "scaling": {name: jnp.float32(value) for name, value in scaling.items()},
    }
    return params, extra | base.make_extra(frozen=frozen)

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`.

    It has the terms of `image_diffusion` or `video_diffusion`, over latents;
    `last_frame_mse` is the error of the latent frame that shows the clean
    image.
    """
    del step
    images = batch["image"]
    key = keys.example_keys(key, len(images))
    latents = self.to_latents(extra, images, key=key)
    return self.denoiser.video_loss(
      params, extra, latents, key=key, train=train
    )

  def to_latents(self, extra, images, *, key):
    """Latents that the network learns, of mean 0 and variance 1.

    Args:
      extra: the second result of `init`.
      images: (B, H, W, C) uint8.
      key: scalar or (B,) keys.

    Returns:
      (B, t, h, w, Z), in the VAE's order.
    """
    key = keys.example_keys(key, len(images))
    video = self.pseudo_video(None, extra, images, key=key)
    params = self._trained(extra).params
    latents, log_variances = self.coder.posterior(params, video)
    if self.latents == "sampled":
      noise = keys.normal(keys.named(key, "latents"), latents.shape)
      latents += jnp.exp(log_variances / 2) * noise
    scaling = extra["frozen"]["scaling"]
    return scaling["scale"] * (latents - scaling["shift"])

  def to_video(self, extra, latents):
    """(B, t, h, w, Z) of `to_latents` -> (B, T, H, W, C) in [-1, 1].

    The clean image is the last frame.
    """
    scaling = extra["frozen"]["scaling"]
    latents = latents / scaling["scale"] + scaling["shift"]
    frames = self.coder.augmentation.frames
    params = self._trained(extra).params
    return jnp.clip(self.coder.decode(params, latents, frames), -1.0, 1.0)

  def sample(self, params, extra, *, key, num):
    """See `base.Task.sample`."""
    latents = self.denoiser.sample(params, extra, key=key, num=num)
    return self.to_video(extra, latents)

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`; the VAE's pseudo video."""
    del params
    coder = self._trained(extra)
    return coder.task.pseudo_video(coder.params, coder.extra, images, key=key)

  def _trained(self, extra: base.Extra) -> first_stage.Trained:
    return first_stage.trained(self.coder, extra["frozen"]["autoencoder"])

"""Diffusion of videos of pixels or latents, window by window."""

from typing import Any

import jax
import jax.numpy as jnp

from pseudovideo import keys
from pseudovideo.models import video_unet
from pseudovideo.samplers import autoregressive, windows
from pseudovideo.samplers import diffusion as sampler_functions
from pseudovideo.tasks import base, diffusion


class WindowedDiffusion(diffusion.Diffusion):
  """Loss and samples of videos; a subclass is a dataclass and makes the videos.

  Attributes:
    model: the network; other fields as in its base.
    frames: T.
    stages: the sampling schedule.
    image_place: place of the frame that shows the clean image.
    loss_over: see `VideoDiffusion`.
  """

  model: video_unet.VideoUNet
  frames: Any
  stages: Any
  image_place: Any
  loss_over: str

  @property
  def num_stages(self) -> int:
    return len(self.stages)

  def init(self, key, data):
    """See `base.Task.init`."""
    del data
    params = video_unet.init(self.network, key, self.image_shape, self._width)
    return params, diffusion.initial_extra(self.process)

  def video_loss(self, params, extra, video, *, key, train):
    """The loss of one window of each video.

    Args:
      params: parameters of the network.
      extra: the second result of `init`.
      video: (B, T, H, W, C).
      key: (B,) keys.
      train: see `base.Task.loss`.

    Returns:
      The same as `base.Task.loss`. Terms are `mse` and `bound`; logged besides
      are the mean squared errors of latent frames, `latent_mse`, and of the
      clean image where it is latent, `last_frame_mse`.
    """
    index, observed, latent = self._training_window(
      keys.named(key, "window"), len(video)
    )
    x0, window = autoregressive.gather(video, index, observed, latent)
    counted = latent + observed if self.loss_over == "window" else latent
    dropout_key = keys.named(key, "dropout") if train else None
    terms, extra, error = diffusion.training_terms(
      self.process,
      extra,
      x0,
      lambda x, time: self._predict(params, x, time, window, dropout_key),
      key=key,
      train=train,
      frames=diffusion.Frames(latent, jnp.sum(counted, axis=1)),
    )
    per_frame = jnp.mean(jnp.square(error), axis=(2, 3, 4))
    last = latent * (index == self.image_place)
    for name, mask in (("latent_mse", latent), ("last_frame_mse", last)):
      count = jnp.sum(mask, axis=1)
      mean = jnp.sum(per_frame * mask, axis=1) / jnp.maximum(count, 1)
      terms[name] = base.Term(mean, (count > 0).astype(jnp.float32), 0)
    return terms, extra

  def sample(self, params, extra, *, key, num):
    """See `base.Task.sample`."""
    del extra
    nothing = jnp.zeros((num, self.frames, *self.image_shape))
    return self.complete(params, nothing, 0, key=key)

  def complete(self, params, video, first, *, key):
    """Generates the frames of the last stages given all earlier frames.

    Args:
      params: parameters of the network.
      video: (B, T, H, W, C) float32; frames to be generated do not count.
      first: stage to begin with; with 0 everything is generated.
      key: scalar or (B,) keys.

    Returns:
      (B, T, H, W, C). For a video from `sample`, with the same key and sampler,
      it is the result of `sample`.
    """
    key = keys.example_keys(key, len(video))
    chains = self.sampler.chains(self.process, self.num_stages)

    def sample_window(window, kind, key):
      return sampler_functions.sample(
        lambda x, time: self._predict(params, x, time, window),
        keys.normal(keys.named(key, "start"), window.x0.shape),
        chains[kind],
        key=keys.named(key, "chain"),
        method=self.sampler.method,
        eta=self.sampler.eta,
        clip=self._clipped(window),
      )

    return autoregressive.sample_video(
      sample_window,
      windows.Windows.of(self.stages),
      [chains.index(chain) for chain in chains],
      video,
      key=key,
      first=first,
    )

  @property
  def _width(self) -> int:
    """W: frames in the network at once, padding included."""
    return max(len(observed) + len(latent) for observed, latent in self.stages)

  def _training_window(self, key: jax.Array, num: int):
    """Index, observed and latent of a random stage, (B, W) each."""
    table = windows.Windows.of(self.stages)
    stage = self._training_stage(key, num)
    return tuple(
      jnp.asarray(a)[stage] for a in (table.index, table.observed, table.latent)
    )

  def _training_stage(self, key: jax.Array, num: int) -> jax.Array:
    """The numbers of the stages that are trained, (B,)."""
    return keys.integers(key, num, 0, self.num_stages)

  def _clipped(self, window: autoregressive.Window) -> bool | jax.Array:
    """Mask of what is clamped on the way, see `samplers.diffusion.sample`.

    Nothing is clamped here; `VideoDiffusion` clamps pixels.
    """
    del window
    return False

  def _predict(self, params, x, time, window, dropout_key=None):
    """(eps, v) of the frames of a window; padding enters as zeros."""
    here = (window.observed + window.latent)[:, :, None, None, None]
    return super()._predict(
      params,
      jnp.where(here > 0, x, 0),
      time,
      x0=window.x0,
      observed=window.observed,
      latent=window.latent,
      frame_indices=window.index,
      dropout_key=dropout_key,
    )

"""Video diffusion on pseudo videos (Sec. 4.2 of the pseudo-video paper).

Frames are generated window by window, each window by a diffusion chain of its
own, given earlier frames (Harvey et al. 2022). Training draws, for every video,
one of the windows that sampling will go through, at true places in the video.
The paper does not say this. The published video code draws random windows
instead, 1 in 100 of which is such a window; they are here too
(`training_windows="random"`).

The first window has fewer frames than the later ones. It is padded by frames of
zeros that no other frame sees through attention, in training and in sampling.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import augmentations, errors, keys, pixels
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import process as processes
from pseudovideo.diffusion import random_windows, stage_weights
from pseudovideo.fields import NotNegativeInt
from pseudovideo.models import video_unet
from pseudovideo.samplers import autoregressive, settings, windows
from pseudovideo.tasks import base, windowed_diffusion


@dataclasses.dataclass(frozen=True)
class VideoDiffusion(windowed_diffusion.WindowedDiffusion):
  """Task `video_diffusion`; pixels in [-1, 1].

  Attributes:
    image_shape: (H, W, C).
    model: the network.
    augmentation: makes the pseudo videos, T frames.
    process: the chain and the loss.
    sampler: how frames are drawn; may change after training.
    binarize: `none`, `bernoulli` or `threshold`, before the augmentation.
    scheme: `autoregressive`, the paper's: C frames jointly, then one at a time
      given the last C frames; `blockwise`: K frames jointly, then S at a time
      given the last K - S frames.
    context: C, for `autoregressive`.
    window: K, for `blockwise`.
    new_frames: S, for `blockwise`.
    training_windows: `stages`: a random one of the scheme's windows; `random`:
      see `diffusion.random_windows`.
    stage_weights: how often each of the scheme's windows is drawn: `uniform`,
      `steps` or a list such as `20/1/1`, see `diffusion.stage_weights`.
    loss_over: divisor of the squared error, which is summed over latent frames:
      the number of frames in the `window`, padding not counted, or of `latent`
      frames.
    fixed_noise: whether an image has the same pseudo video whenever it is
      drawn, instead of fresh noise.
  """

  image_shape: tuple[int, int, int]
  model: video_unet.VideoUNet
  augmentation: augmentations.Augmentation
  process: processes.Process
  sampler: settings.Sampler
  binarize: pixels.Binarize = "none"
  scheme: Literal["autoregressive", "blockwise"] = "autoregressive"
  context: NotNegativeInt = 0
  window: NotNegativeInt = 0
  new_frames: NotNegativeInt = 0
  training_windows: Literal["stages", "random"] = "stages"
  stage_weights: str = "uniform"
  loss_over: Literal["window", "latent"] = "window"
  fixed_noise: bool = False

  value_range = (-1.0, 1.0)

  @property
  def frames(self) -> int:
    """T."""
    return self.augmentation.frames

  @property
  def stages(self) -> tuple[windows.Stage, ...]:
    """The sampling schedule."""
    if self.scheme == "autoregressive":
      return windows.autoregressive(self.frames, self.context)
    return windows.blockwise(self.frames, self.window, self.new_frames)

  @property
  def image_place(self) -> int:
    """The place of the image: the last frame."""
    return self.frames - 1

  def stage_probabilities(self) -> np.ndarray:
    """The probability that training draws each stage, (S,) float64.

    Raises:
      UserError: see `diffusion.stage_weights.probabilities`.
    """
    chain = chains.Chain.of(self.process)
    return stage_weights.probabilities(
      self.stage_weights, self.stages, self.augmentation, chain
    )

  def check(self) -> None:
    """See `base.Task.check`."""
    unused = ["context"] if self.scheme == "blockwise" else []
    unused += ["window", "new_frames"] if not unused else []
    for field in unused:
      if getattr(self, field):
        raise errors.UserError(
          f"task.scheme {self.scheme!r} has no task.{field}, which must be 0; "
          f"got {getattr(self, field)}."
        )
    if self.training_windows == "random":
      random_windows.check(self.frames, self._width)
      if self.stage_weights != "uniform":
        raise errors.UserError(
          "task.training_windows 'random' draws no stages; task.stage_weights "
          f"must be 'uniform', got {errors.shown(self.stage_weights)}."
        )
    super().check()
    self.stage_probabilities()
    # Augmentations may refuse an image size.
    image = jax.ShapeDtypeStruct((1, *self.image_shape), jnp.float32)
    jax.eval_shape(lambda x: self.augmentation(x, key=jax.random.key(0)), image)

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`, and for the terms `video_loss`."""
    del step
    images = batch["image"]
    key = keys.example_keys(key, len(images))
    video = self.pseudo_video(
      params, extra, images, key=key, index=batch.get("index")
    )
    return self.video_loss(params, extra, video, key=key, train=train)

  def pseudo_video(self, params, extra, images, *, key, index=None):
    """See `base.Task.pseudo_video`.

    Args:
      params: not read.
      extra: not read.
      images: (B, H, W, C) uint8.
      key: scalar or (B,) keys.
      index: (B,), the images' places in the data set, for `fixed_noise`.
    """
    del params, extra
    key = keys.example_keys(key, len(images))
    x = base.to_float(self, images, keys.named(key, "binarize"))
    key = keys.named(key, "augmentation")
    if self.fixed_noise and index is not None:
      fixed = jax.random.key(0)
      key = jax.vmap(lambda i: jax.random.fold_in(fixed, i))(index)
    return self.augmentation(x, key=key)

  def _training_window(self, key: jax.Array, num: int):
    if self.training_windows == "random":
      return random_windows.draw(key, num, self.frames, self._width)
    return super()._training_window(key, num)

  def _training_stage(self, key: jax.Array, num: int) -> jax.Array:
    if self.stage_weights == "uniform":
      return super()._training_stage(key, num)
    ends = jnp.asarray(np.cumsum(self.stage_probabilities())[:-1], jnp.float32)
    return jnp.searchsorted(ends, keys.uniform(key, (num,)), side="right")

  def _clipped(self, window: autoregressive.Window) -> jax.Array:
    """Mask of the frames clamped to [-1, 1] on the way, (B, W, 1, 1, 1)."""
    last = window.index == self.frames - 1
    return (last | self.sampler.clip_pseudo_frames)[:, :, None, None, None]

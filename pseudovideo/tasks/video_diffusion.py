"""Video diffusion on pseudo videos (Sec. 4.2 of the pseudo-video paper).

Frames are generated window by window, each window by a diffusion chain of its
own, given earlier frames (Harvey et al. 2022). Training draws, for every video,
one of the windows that sampling will go through, at true places in the video:
what is not said in the paper, and differs from the random windows of the
published video code, in which 1 in 100 is such a window. Those are here too
(`training_windows="random"`).

The first window has fewer frames than the later ones. It is padded by frames of
zeros that no other frame sees through attention, in training and in sampling.
"""

import dataclasses

import jax
import jax.numpy as jnp

from pseudovideo import augmentations, errors, keys
from pseudovideo.diffusion import process as processes
from pseudovideo.diffusion import random_windows
from pseudovideo.models import video_unet
from pseudovideo.samplers import autoregressive, settings, windows
from pseudovideo.samplers import diffusion as sampler_functions
from pseudovideo.tasks import base, diffusion

SCHEMES = ("autoregressive", "blockwise")
TRAINING_WINDOWS = ("stages", "random")
LOSS_OVER = ("window", "latent")
MAX_FRAMES = 1000


@dataclasses.dataclass(frozen=True)
class VideoDiffusion:
  """Task `video_diffusion`; pixels in [-1, 1].

  Attributes:
    image_shape: (H, W, C).
    model: the network.
    augmentation: makes the pseudo videos, T frames.
    process: the chain and the loss.
    sampler: how frames are drawn; may change after training.
    binarize: `none`, `bernoulli` or `threshold`, before the augmentation.
    scheme: `autoregressive`, the paper's: C frames jointly, then one at a time
      given the last C; `blockwise`: K frames jointly, then S at a time given
      the last K - S.
    context: C, of `autoregressive`.
    window: K, of `blockwise`.
    new_frames: S, of `blockwise`.
    training_windows: `stages`, one of the scheme's at random; `random`, see
      `diffusion.random_windows`.
    loss_over: the squared error is summed over latent frames and divided by
      the number of frames in the `window`, padding not counted, or of `latent`
      ones.
    fixed_noise: the same pseudo video whenever an image is drawn, instead of
      fresh noise.
  """

  image_shape: tuple[int, int, int]
  model: video_unet.VideoUNet
  augmentation: augmentations.Augmentation
  process: processes.Process
  sampler: settings.Sampler
  binarize: str = "none"
  scheme: str = "autoregressive"
  context: int = 0
  window: int = 0
  new_frames: int = 0
  training_windows: str = "stages"
  loss_over: str = "window"
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
  def network_evaluations(self) -> int:
    return self.sampler.network_evaluations(self.process, len(self.stages))

  def check(self) -> None:
    """See `base.Task.check`."""
    diffusion.check_network(self.model, self.process, self.image_shape)
    for field, allowed in (
      ("scheme", SCHEMES),
      ("training_windows", TRAINING_WINDOWS),
      ("loss_over", LOSS_OVER),
    ):
      if getattr(self, field) not in allowed:
        raise errors.unknown(f"task.{field}", getattr(self, field), allowed)
    if self.frames > MAX_FRAMES:
      raise errors.UserError(
        f"augmentation.frames must be at most {MAX_FRAMES}; got {self.frames}."
      )
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
    self.sampler.check(self.process.steps, len(self.stages))
    # Augmentations may refuse an image size.
    image = jax.ShapeDtypeStruct((1, *self.image_shape), jnp.float32)
    jax.eval_shape(lambda x: self.augmentation(x, key=jax.random.key(0)), image)

  def init(self, key, data):
    """See `base.Task.init`."""
    del data
    params = video_unet.init(self._network, key, self.image_shape, self._width)
    return params, diffusion.initial_extra(self.process)

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`.

    Terms `mse` and `bound`; logged besides, the mean squared errors of latent
    frames, and of the last frame where it is latent.
    """
    del step
    num = batch["image"].shape[0]
    key = keys.example_keys(key, num)
    video = self._video(batch, key)
    window = autoregressive.gather(
      video, *self._training_window(keys.named(key, "window"), num)
    )
    x0 = jnp.take_along_axis(
      video, window.index[:, :, None, None, None], axis=1
    )
    dropout_key = keys.named(key, "dropout") if train else None
    terms, extra, error = diffusion.training_terms(
      self.process,
      extra,
      x0,
      lambda x, time: self._predict(params, x, time, window, dropout_key),
      lambda value: self._average(value, window),
      key=key,
      train=train,
    )
    per_frame = jnp.mean(jnp.square(error), axis=(2, 3, 4))
    last = window.latent * (window.index == self.frames - 1)
    for name, mask in (("latent_mse", window.latent), ("last_frame_mse", last)):
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
      params: of the network.
      video: (B, T, H, W, C) float32; frames to be generated do not count.
      first: stage to begin with; with 0 everything is generated.
      key: scalar or (B,) keys.

    Returns:
      (B, T, H, W, C). Frames of `sample`, the same key and sampler give the
      result of `sample`.
    """
    key = keys.example_keys(key, len(video))
    chains = self.sampler.chains(self.process, len(self.stages))

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

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`."""
    del params, extra
    key = keys.example_keys(key, images.shape[0])
    return self._video({"image": images}, key)

  @property
  def _width(self) -> int:
    """W: frames in the network at once, padding included."""
    return max(len(observed) + len(latent) for observed, latent in self.stages)

  @property
  def _network(self) -> video_unet.VideoUNet:
    return diffusion.sized(self.model, self.process, self.image_shape[-1])

  def _video(self, batch: base.Batch, key: jax.Array) -> jax.Array:
    """(B, T, H, W, C), the pseudo videos of a batch."""
    images = base.to_float(self, batch["image"], keys.named(key, "binarize"))
    key = keys.named(key, "augmentation")
    if self.fixed_noise and "index" in batch:
      key = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(
        batch["index"]
      )
    return self.augmentation(images, key=key)

  def _training_window(self, key: jax.Array, num: int):
    """Index, observed and latent, (B, W) each."""
    if self.training_windows == "random":
      return random_windows.draw(key, num, self.frames, self._width)
    table = windows.Windows.of(self.stages)
    stage = keys.integers(key, num, 0, len(table.index))
    return tuple(
      jnp.asarray(a)[stage] for a in (table.index, table.observed, table.latent)
    )

  def _average(
    self, value: jax.Array, window: autoregressive.Window
  ) -> jax.Array:
    """(B, W, H, W', C) -> (B,): over the latent frames, see `loss_over`."""
    per_frame = jnp.mean(value, axis=(2, 3, 4)) * window.latent
    counted = window.latent
    if self.loss_over == "window":
      counted += window.observed
    return jnp.sum(per_frame, axis=1) / jnp.sum(counted, axis=1)

  def _clipped(self, window: autoregressive.Window) -> jax.Array:
    """Which frames are clamped to [-1, 1] on the way, (B, W, 1, 1, 1) bool."""
    last = window.index == self.frames - 1
    return (last | self.sampler.clip_pseudo_frames)[:, :, None, None, None]

  def _predict(self, params, x, time, window, dropout_key=None):
    """(eps, v) of the frames of a window; padding enters as zeros."""
    here = (window.observed + window.latent)[:, :, None, None, None]
    output = self._network.apply(
      {"params": params},
      jnp.where(here > 0, x, 0),
      time,
      x0=window.x0,
      observed=window.observed,
      latent=window.latent,
      frame_indices=window.index,
      dropout_key=dropout_key,
    )
    return diffusion.split(output, self.process)

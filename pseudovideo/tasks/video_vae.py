"""Video VAEs of pseudo videos or clips: IV-VAE, its baselines, the image VAE.

The loss is the mean absolute error and a KL term, optionally with features of a
frozen network and a discriminator over clips. Part of each training batch is
single images, clips of one frame.

IV-VAE names these parts but publishes no weight, optimizer or batch size. The
defaults are our choice: the weight of the KL term is latent diffusion's
(Rombach et al. 2022), the share of images Movie Gen's (one batch of images to
three of videos), and the discriminator has a small weight, as for our
tokenizers.
"""

import dataclasses
import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from pseudovideo import compiling, errors, keys, optimizers, pixels
from pseudovideo.augmentations import Augmentation, identity
from pseudovideo.fields import NotNegative, Share
from pseudovideo.losses import gaussian
from pseudovideo.models import video_discriminator
from pseudovideo.models.video_vae import initialisation, iv_vae
from pseudovideo.pretrained import perceptual_features
from pseudovideo.shapes import mean_of_each
from pseudovideo.tasks import base, players


class _Part(NamedTuple):
  """Clips of one length, and what the network makes of them."""

  video: jax.Array
  latents: jax.Array
  decoded: jax.Array
  kl: jax.Array
  judged: jax.Array


@dataclasses.dataclass(frozen=True)
class VideoVAE(base.Defaults):
  """Task `video_vae`; pixels in [-1, 1].

  In a data set of videos, images are clips (T, H, W, C). They take the place of
  pseudo videos, and their last frames the place of the clean images.

  Attributes:
    image_shape: (H, W, C).
    augmentation: makes the pseudo video; `identity` leaves clips as they are.
    model: encoder and decoder.
    discriminator: judges clips, if `adversarial`.
    discriminator_optimizer: the discriminator's optimizer.
    binarize: `none`, `bernoulli` or `threshold`.
    order: order of the encoded clip. `reversed`: frame 0 is the clean image,
      whose latents then belong to the image alone. `forward`: the order of the
      pseudo video, with the clean image last; the only order for clips.
    image_share: share of the examples of a training batch that are single
      images instead of clips, rounded; at least one clip is left.
    kl_weight: weight of the latents' divergence from N(0, I). The divergence is
      summed over latents and divided by the number of pixel values of the clip,
      so that 1e-6 corresponds to latent diffusion's 1e-6, where both terms are
      sums.
    perceptual: frozen network of the perceptual loss, `none`, `vgg16` or
      `classifier`, see `pretrained.perceptual_features`; it sees a frame of
      each clip.
    perceptual_weight: weight of that loss.
    adversarial: whether there is a discriminator.
    adversarial_weight: weight of the generator's loss, times the adaptive
      weight.
    adversarial_from: updates before the adversarial term counts; the
      discriminator learns from the first.
    most_adaptive: bound of the adaptive weight.
    start: `random`, or the folder of a trained run of this task, an image VAE
      from which the weights are inflated.
  """

  image_shape: tuple[int, int, int]
  augmentation: Augmentation
  model: iv_vae.IVVAE
  discriminator: video_discriminator.VideoDiscriminator
  discriminator_optimizer: optimizers.AdamConfig
  binarize: pixels.Binarize = "none"
  order: Literal["reversed", "forward"] = "reversed"
  image_share: Share = 0.25
  kl_weight: NotNegative = 1e-6
  perceptual: str = "none"
  perceptual_weight: NotNegative = 1.0
  adversarial: bool = False
  adversarial_weight: NotNegative = 0.1
  adversarial_from: base.Updates = 0
  most_adaptive: NotNegative = 10.0
  start: str = "random"

  value_range = (-1.0, 1.0)
  network_evaluations = 1
  abilities = ("reconstruct", "posterior", "clips")
  channels_field = "image_channels"
  last_layer = ("decoder", "head")
  """Where the network has the kernels that make pixels."""

  @property
  def latent_shape(self) -> tuple[int, int, int, int]:
    """(t, h, w, Z) of the latents of a pseudo video."""
    clip = (self.augmentation.frames, *self.image_shape[:2])
    return self.model.latent_shape(clip)

  @property
  def group(self) -> int:
    """Frames that become one latent frame, behind frame 0."""
    return self.model.temporal_factor

  def check(self) -> None:
    """See `base.Task.check`."""
    frames = self.augmentation.frames
    self.model.check(self.image_shape, frames)
    clips = isinstance(self.augmentation, identity.Identity) and frames > 1
    if clips and self.order != "forward":
      raise errors.UserError(
        f"task.order is {self.order!r}, which encodes clips of videos from "
        "their last frame back to the first; set it to 'forward'."
      )
    if frames == 1 and self.image_share > 0:
      raise errors.UserError(
        "task.image_share must be 0 where all clips are images, of 1 frame; "
        f"got {self.image_share}."
      )
    perceptual_features.forward(self.perceptual)
    if self.adversarial:
      video_discriminator.check(self.discriminator, self.image_shape)

  @property
  def needs(self) -> tuple[str, ...]:
    """The image VAE to be inflated, if there is one."""
    return () if self.start == "random" else ("start",)

  def init(self, key, data, *, start=None):
    """See `base.Task.init`; the frozen network's parameters are in `extra`.

    Args:
      key: scalar key.
      data: the `ImageSet` to be trained on.
      start: parameters of an image VAE's network to be inflated, if any.

    Raises:
      UserError: `start` does not fit.
    """
    network_key, judge_key = jax.random.split(key)
    image = jnp.zeros((1, 1, *self.image_shape))
    if start is None:
      network = compiling.once(self.model.init)(network_key, image)["params"]
    else:
      network = self._inflated(start, network_key)
    params = {"network": network}
    if self.adversarial:
      variables = compiling.once(self.discriminator.init)(judge_key, image)
      params[optimizers.DISCRIMINATOR] = variables["params"]
    frozen = perceptual_features.load(
      self.perceptual, data, binarize=self.binarize
    )
    return params, base.make_extra(
      frozen=frozen and {"perceptual": frozen.params}
    )

  def _inflated(self, image_params, key) -> base.Params:
    """Inflates an image VAE's parameters to the network's."""
    del key
    return initialisation.inflate(image_params, self.model)

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`.

    Optimised: `absolute_error`, a mean over each clip or single image; `kl`;
    `perceptual`; and with a discriminator `generator`, with the adaptive
    weight, `hinge_real` and `hinge_fake`, means over patches of clips. Logged
    besides: `last_frame_error`, the absolute error of the clean images of
    clips; `image_error`, the absolute error of single images; and
    `adaptive_weight`.

    Training draws latents; evaluation takes means, and sees clips only.
    """
    images = batch["image"]
    key = keys.example_keys(key, len(images))
    alone = _spread(len(images), self.image_share if train else 0)
    rows = np.flatnonzero(~alone)
    video = self.pseudo_video(params, extra, images[rows], key=key[rows])
    clips = self._part(params, video, key[rows], train)
    parts = [clips]
    if alone.any():
      rows = np.flatnonzero(alone)
      single = _last_frame(self._images(images[rows], key[rows]))
      parts.append(self._part(params, single, key[rows], train))
    terms = self._terms(extra, parts)
    if train and self.adversarial:
      terms |= self._adversarial_terms(params, extra, clips, step)
    return terms, extra

  def reconstruct(self, params, extra, images, *, key):
    """See `base.Autoencoder.reconstruct`; of means, clipped to [-1, 1]."""
    video = self.pseudo_video(params, extra, images, key=key)
    means, _ = self.posterior(params, video)
    return jnp.clip(self.decode(params, means, video.shape[1]), -1.0, 1.0)

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`."""
    del params, extra
    key = keys.example_keys(key, images.shape[0])
    x = self._images(images, key)
    return self.augmentation(x, key=keys.named(key, "augmentation"))

  def posterior(self, params, video):
    """Means and log-variances of latents, (B, t, h, w, Z) each, as encoded.

    Args:
      params: parameters that `init` made.
      video: (B, T, H, W, C) in [-1, 1], the clean image last, with any T that
        the model takes; an image is a video of one frame.
    """
    return self._network(params, "encode", self.in_order(video))

  def decode(self, params, latents, frames: int):
    """Videos (B, T, H, W, C), the clean image last, not clipped to [-1, 1].

    Args:
      params: parameters that `init` made.
      latents: (B, t, h, w, Z), in the order of `posterior`.
      frames: T.

    Raises:
      ValueError: T frames have another number of latents.
    """
    video = self._network(params, "decode", latents)
    if video.shape[1] != frames:
      raise ValueError(
        f"{latents.shape[1]} latents stand for {video.shape[1]} frames, not "
        f"for {frames}."
      )
    return self.in_order(video)

  def in_order(self, video):
    """Pseudo videos (B, T, ...) in the order of encoding, and back."""
    return video[:, ::-1] if self.order == "reversed" else video

  def _images(self, images, key):
    return base.to_float(self, images, keys.named(key, "binarize"))

  def _network(self, params, method: str, *args):
    variables = {"params": params["network"]}
    return self.model.apply(variables, *args, method=method)

  def _part(self, params, video, key, train) -> _Part:
    """Encodes and decodes videos."""
    num, frames = video.shape[:2]
    means, log_variances = self.posterior(params, video)
    latents = means
    if train:
      noise = keys.normal(keys.named(key, "latents"), means.shape)
      latents += jnp.exp(log_variances / 2) * noise
    return _Part(
      video,
      latents,
      self.decode(params, latents, frames),
      gaussian.kl_to_standard(means, log_variances / 2) / video[0].size,
      keys.integers(keys.named(key, "judged"), num, 0, frames),
    )

  def _terms(self, extra, parts: list[_Part]) -> base.Terms:
    """Terms apart from the adversarial ones; clips come first."""

    def joined(function):
      return jnp.concatenate([function(part) for part in parts])

    clips, *images = parts
    found = joined(lambda part: _error(part.video, part.decoded))
    last = _error(clips.video[:, -1], clips.decoded[:, -1])
    terms = {
      "absolute_error": base.mean_term(found, 1.0),
      "kl": base.mean_term(joined(lambda part: part.kl), self.kl_weight),
      "last_frame_error": base.mean_term(last),
    }
    if images:
      terms["image_error"] = base.mean_term(found[len(last) :])
    if self.perceptual != "none":
      distances = joined(lambda p: self._perceptual(extra, p, p.decoded))
      terms["perceptual"] = base.mean_term(distances, self.perceptual_weight)
    return terms

  def _perceptual(self, extra, part: _Part, decoded):
    """(B,), the distance of one random frame of each clip."""
    at = jnp.arange(len(decoded)), part.judged
    made, real = ((x[at] + 1) / 2 for x in (decoded, part.video))
    return perceptual_features.distance(
      self.perceptual, extra["frozen"]["perceptual"], made, real
    )

  def _adversarial_terms(self, params, extra, clips, step) -> base.Terms:
    distance = functools.partial(_error, clips.video)
    if self.perceptual != "none":
      distance = functools.partial(self._perceptual, extra, clips)
    return players.terms(
      self,
      params[optimizers.DISCRIMINATOR],
      judged=lambda video: video,
      video=clips.video,
      decoded=clips.decoded,
      last_layer=self._last_layer(params["network"], clips),
      distance=distance,
      step=step,
    )

  def _last_layer(self, network, clips) -> players.LastLayer:
    """The kernels that make pixels, and the decoder as a function of them."""
    flat = traverse_util.flatten_dict(network)
    kernels = {
      path: array
      for path, array in flat.items()
      if path[:2] == self.last_layer and path[-1] == "kernel"
    }

    def decode(kernels, latents):
      whole = jax.lax.stop_gradient(flat) | kernels
      params = {"network": traverse_util.unflatten_dict(whole)}
      return self.decode(params, latents, clips.video.shape[1])

    return players.LastLayer(decode, kernels, clips.latents)


def _spread(num: int, share: float) -> np.ndarray:
  """(num,) bool, round(num share) of them True, at even distances."""
  count = min(round(num * share), num - 1)
  return np.diff(np.arange(num + 1) * count // num) > 0


def _last_frame(x: jax.Array) -> jax.Array:
  """Images (B, H, W, C) or clips (B, T, H, W, C) -> (B, 1, H, W, C)."""
  return x[:, None] if x.ndim == 4 else x[:, -1:]


def _error(x: jax.Array, y: jax.Array) -> jax.Array:
  """(B, ...), (B, ...) -> (B,), the mean absolute difference."""
  return mean_of_each(jnp.abs(x - y))

"""Tokenizers of images and pseudo videos: VQ-VAE and C-ViViT (Sec. 3).

A video becomes a grid of vectors, each vector is replaced by one of K codes,
and the codes become the video again. With one frame this is the VQ-VAE of an
image. The loss is the paper's: squared error, commitment to the codes, features
of a frozen network, and a discriminator that sees one frame of each video.

It differs from the published code in three silent points. The commitment always
counts. The adversarial term is weighted against the gradient at the pixel heads
that made the video, so that it is not 0 for images. The frozen network is
frozen.
"""

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp

from pseudovideo import compiling, errors, keys, optimizers, pixels, shapes
from pseudovideo.augmentations import Augmentation
from pseudovideo.fields import NotNegative
from pseudovideo.losses.adversarial import gradient_penalty
from pseudovideo.models import discriminator as discriminators
from pseudovideo.models import tokenizer
from pseudovideo.models.quantizers import Quantizer, common
from pseudovideo.pretrained import perceptual_features
from pseudovideo.samplers import tokens
from pseudovideo.tasks import base, players


@dataclasses.dataclass(frozen=True)
class VideoTokenizer(base.Defaults):
  """Task `video_tokenizer`; pixels in [0, 1].

  Attributes:
    image_shape: (H, W, C).
    augmentation: makes the pseudo video.
    model: encoder and decoder.
    quantizer: the quantizer between them.
    discriminator: judges single frames, if `adversarial`.
    discriminator_optimizer: the discriminator's optimizer.
    binarize: `none`, `bernoulli` or `threshold`.
    commitment_weight: weight of the distance of latents from their codes.
    entropy_weight: weight of the look-up-free quantizer's entropy term; 0.1
      in the published code.
    perceptual: frozen network of the perceptual loss, `none`, `vgg16` or
      `classifier`; see `pretrained.perceptual_features`.
    perceptual_weight: weight of that loss.
    adversarial: whether there is a discriminator.
    adversarial_weight: weight of the generator's loss, times the adaptive
      weight; 1 in the published code.
    adversarial_from: updates before the adversarial term counts; the
      discriminator learns from the first.
    judged_frame: `random`, one of each video as in the published code, or
      `last`; what the perceptual and adversarial terms see.
    gradient_penalty: weight of the discriminator's gradient penalty; 10 in the
      published code.
    most_adaptive: bound of the adaptive weight; 1e4 in the published code.
  """

  image_shape: tuple[int, int, int]
  augmentation: Augmentation
  model: tokenizer.Tokenizer
  quantizer: Quantizer
  discriminator: discriminators.Discriminator
  discriminator_optimizer: optimizers.AdamConfig
  binarize: pixels.Binarize = "none"
  commitment_weight: NotNegative = 1.0
  entropy_weight: NotNegative = 0.1
  perceptual: str = "none"
  perceptual_weight: NotNegative = 1.0
  adversarial: bool = True
  adversarial_weight: NotNegative = 1.0
  adversarial_from: base.Updates = 0
  judged_frame: Literal["random", "last"] = "random"
  gradient_penalty: NotNegative = 10.0
  most_adaptive: NotNegative = 1e4

  value_range = (0.0, 1.0)
  abilities = ("reconstruct", "encode")
  channels_field = "channels"
  network_evaluations = 1

  @property
  def num_codes(self) -> int:
    """K; ids are 0 .. K - 1."""
    return self.quantizer.codes

  @property
  def grid_shape(self) -> tuple[int, int, int]:
    """(t, h, w) of the ids of a video."""
    return self.model.grid_shape(self.image_shape)

  def check(self) -> None:
    """See `base.Task.check`."""
    if self.model.frames != self.augmentation.frames:
      raise errors.UserError(
        f"model.frames is {self.model.frames}, but the augmentation makes "
        f"videos of {self.augmentation.frames}; set both to the same number."
      )
    self.model.check(self.image_shape)
    if self.quantizer.width != self.model.width:
      raise errors.UserError(
        "quantizer.width must equal model.width; got "
        f"{self.quantizer.width} and {self.model.width}."
      )
    perceptual_features.forward(self.perceptual)
    if self.adversarial:
      discriminators.check(self.discriminator, self.image_shape)

  def init(self, key, data):
    """See `base.Task.init`; the frozen network's parameters are in `extra`."""
    network_key, codes_key, judge_key = jax.random.split(key, 3)
    video = jnp.zeros((1, self.augmentation.frames, *self.image_shape))
    codes_params, codes_state = self.quantizer.init(codes_key)
    params = {
      "network": compiling.once(self.model.init)(network_key, video)["params"]
    }
    if codes_params:
      params["quantizer"] = codes_params
    if self.adversarial:
      variables = compiling.once(self.discriminator.init)(
        judge_key, video[:, 0]
      )
      params[optimizers.DISCRIMINATOR] = variables["params"]
    frozen = perceptual_features.load(
      self.perceptual, data, binarize=self.binarize
    )
    return params, base.make_extra(
      state={"quantizer": codes_state} if codes_state else None,
      frozen=frozen and {"perceptual": frozen.params},
    )

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`.

    Optimised: `squared_error`, a mean over the video; `commitment`; `entropy`
    of the look-up-free quantizer; `perceptual`; and while training with a
    discriminator `generator`, with the adaptive weight, and the discriminator's
    `hinge_real`, `hinge_fake` and `gradient_penalty`. Logged besides:
    `last_frame_error`, `codes_used` and `perplexity` of the batch, and
    `adaptive_weight`.

    The discriminator sees the videos of this step; the published code gives it
    other videos, and pays for encoding and decoding them.
    """
    num = batch["image"].shape[0]
    key = keys.example_keys(key, num)
    video = self.pseudo_video(params, extra, batch["image"], key=key)
    latents = self._network(params, "encode", video)
    quantized = self.quantizer.quantize(*_codes(params, extra), latents)
    features = self._network(params, "decode_features", quantized.values)
    decoded = self._network(params, "to_pixels", features)
    terms = self._reconstruction_terms(video, decoded, quantized)
    judge = self._judged(keys.named(key, "judged"), num)
    if self.perceptual != "none":
      distance = self._perceptual(extra, judge, video)
      terms["perceptual"] = base.mean_term(
        distance(decoded), self.perceptual_weight
      )
    if not train:
      return terms, extra
    if self.adversarial:
      numerator = _mean_squared_error(video)
      if self.perceptual != "none":
        numerator = self._perceptual(extra, judge, video)
      terms |= self._adversarial_terms(
        params, judge, video, decoded, features, numerator, step
      )
    _, state = _codes(params, extra)
    state = self.quantizer.update(
      state, latents, quantized.ids, keys.named(key, "restart")
    )
    return terms, _with_codes(extra, state)

  def reconstruct(self, params, extra, images, *, key):
    """See `base.Autoencoder.reconstruct`; clipped to [0, 1]."""
    ids = self.encode(params, extra, images, key=key)
    return jnp.clip(self.decode(params, extra, ids), 0.0, 1.0)

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`."""
    del params, extra
    key = keys.example_keys(key, images.shape[0])
    x = base.to_float(self, images, keys.named(key, "binarize"))
    return self.augmentation(x, key=keys.named(key, "augmentation"))

  def encode(self, params, extra, images, *, key):
    """Encodes images to ids of codes.

    Args:
      params: parameters that `init` made.
      extra: the second result of `init`.
      images: (B, H, W, C) uint8.
      key: scalar or (B,) keys, of the pseudo videos and of binarization.

    Returns:
      (B, t, h, w) int32 in 0 .. K - 1, (t, h, w) being `grid_shape`;
      `NO_TOKEN` where latents are not finite.
    """
    video = self.pseudo_video(params, extra, images, key=key)
    latents = self._network(params, "encode", video)
    ids = self.quantizer.quantize(*_codes(params, extra), latents).ids
    return tokens.known(ids, jnp.abs(latents))

  def decode(self, params, extra, ids):
    """Decodes ids (B, t, h, w) to (B, T, H, W, C), not clipped to [0, 1].

    A video is NaN if one of its ids is `NO_TOKEN`.
    """
    video = self._network(params, "decode", self.vectors(params, extra, ids))
    bad = jnp.any(ids == tokens.NO_TOKEN, axis=(1, 2, 3), keepdims=True)
    return jnp.where(bad[..., None], jnp.nan, video)

  def vectors(self, params, extra, ids):
    """The code vectors of ids (...): (..., D) float32."""
    return self.quantizer.lookup(*_codes(params, extra), ids)

  def _network(self, params, method: str, x):
    return self.model.apply({"params": params["network"]}, x, method=method)

  def _judged(self, key, num):
    """A function (B, T, H, W, C) -> (B, H, W, C), the frames to be judged."""
    if self.judged_frame == "last":
      return shapes.last_frame
    index = keys.integers(key, num, 0, self.augmentation.frames)
    return lambda video: video[jnp.arange(num), index]

  def _reconstruction_terms(self, video, decoded, quantized) -> base.Terms:
    usage = common.usage(quantized.ids, self.num_codes)
    last = shapes.last_frame
    terms = {
      "squared_error": base.mean_term(_mean_squared_error(video)(decoded), 1.0),
      "last_frame_error": base.mean_term(
        _mean_squared_error(last(video))(last(decoded))
      ),
      "commitment": base.mean_term(
        quantized.commitment, self.commitment_weight
      ),
    }
    if quantized.entropy is not None:
      terms["entropy"] = base.mean_term(quantized.entropy, self.entropy_weight)
    for name, value in usage.items():
      terms[name] = base.mean_term(
        jnp.broadcast_to(value, quantized.commitment.shape)
      )
    return terms

  def _perceptual(self, extra, judge, video):
    """A function of decoded videos: (B,), the distance of judged frames."""
    real = judge(video)
    return lambda decoded: perceptual_features.distance(
      self.perceptual, extra["frozen"]["perceptual"], judge(decoded), real
    )

  def _adversarial_terms(
    self, params, judge, video, decoded, features, distance, step
  ) -> base.Terms:
    own = params[optimizers.DISCRIMINATOR]
    penalty = gradient_penalty(
      functools.partial(players.logits, self, own), judge(video)
    )
    return players.terms(
      self,
      own,
      judged=judge,
      video=video,
      decoded=decoded,
      last_layer=players.LastLayer(
        functools.partial(self._heads, params["network"]),
        self._head_kernels(params["network"]),
        features,
      ),
      distance=distance,
      step=step,
    ) | {"gradient_penalty": base.mean_term(penalty, self.gradient_penalty)}

  def _head_kernels(self, network):
    """The kernels of all layers that end in pixels."""
    return {
      name: network[name]["linear"]["kernel"]
      for name in tokenizer.HEADS
      if name in network
    }

  def _heads(self, network, kernels, features):
    """Pixels of features (B, t, h, w, D), by the heads with these kernels."""
    network = jax.lax.stop_gradient(network)
    for name, kernel in kernels.items():
      linear = {**network[name]["linear"], "kernel": kernel}
      network = {**network, name: {"linear": linear}}
    return self._network({"network": network}, "to_pixels", features)


def _codes(
  params: base.Params, extra: base.Extra
) -> tuple[base.Params, base.Extra]:
  """The quantizer's parameters and state; a checkpoint keeps no empty dicts."""
  return params.get("quantizer", {}), base.state_of(extra).get("quantizer", {})


def _with_codes(extra: base.Extra, state: base.Extra) -> base.Extra:
  """`extra` with the quantizer's state, if it has one."""
  return base.with_state(extra, quantizer=state) if state else extra


def _mean_squared_error(target: Any):
  """A function of arrays like `target`, (B, ...) -> (B,), a mean."""
  return lambda x: shapes.mean_of_each(jnp.square(x - target))

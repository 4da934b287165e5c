"""Improved DDPM (Nichol & Dhariwal 2021): the 1-frame baseline of Sec. 4.2.

The chain is q(x_k | x_0) = N(sqrt(ab_k) x_0, (1 - ab_k) I); the network
predicts the noise in x_k from x_k and k.
"""

import dataclasses

import jax.numpy as jnp

from pseudovideo import compiling, keys, pixels
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import likelihood
from pseudovideo.diffusion import process as processes
from pseudovideo.models import unet
from pseudovideo.samplers import diffusion as sampler_functions
from pseudovideo.samplers import settings
from pseudovideo.tasks import base, diffusion


@dataclasses.dataclass(frozen=True)
class ImageDiffusion(diffusion.Diffusion):
  """Task `image_diffusion`; pixels in [-1, 1].

  Attributes:
    image_shape: (H, W, C).
    model: the network.
    process: the chain and the loss.
    sampler: how images are drawn; may change after training.
    binarize: `none`, `bernoulli` or `threshold`.
  """

  image_shape: tuple[int, int, int]
  model: unet.UNet
  process: processes.Process
  sampler: settings.Sampler
  binarize: pixels.Binarize = "none"

  value_range = (-1.0, 1.0)
  abilities = ("bits_per_dim",)
  # Whether samples are clamped to [-1, 1] on the way.
  clipped = True

  def init(self, key, data):
    """See `base.Task.init`."""
    del data
    image = jnp.zeros((1, *self.image_shape))
    variables = compiling.once(self.network.init)(key, image, jnp.zeros((1,)))
    return variables["params"], diffusion.initial_extra(self.process)

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`; terms `mse` and `bound`, means over pixels."""
    del step
    key = keys.example_keys(key, batch["image"].shape[0])
    x0 = base.to_float(self, batch["image"], keys.named(key, "binarize"))
    return self.image_loss(params, extra, x0, key=key, train=train)

  def image_loss(self, params, extra, x0, *, key, train):
    """The loss of given images (B, H, W, C), (B,) keys; see `loss`."""
    dropout_key = keys.named(key, "dropout") if train else None
    terms, extra, _ = diffusion.training_terms(
      self.process,
      extra,
      x0,
      lambda x, time: self._predict(params, x, time, dropout_key=dropout_key),
      key=key,
      train=train,
    )
    return terms, extra

  def sample(self, params, extra, *, key, num):
    """See `base.Task.sample`; videos of one frame."""
    del extra
    key = keys.example_keys(key, num)
    (chain,) = self.sampler.chains(self.process, 1)
    images = sampler_functions.sample(
      lambda x, time: self._predict(params, x, time),
      keys.normal(keys.named(key, "start"), (num, *self.image_shape)),
      chain,
      key=keys.named(key, "chain"),
      method=self.sampler.method,
      eta=self.sampler.eta,
      clip=self.clipped,
    )
    return images[:, None]

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`; the image alone."""
    del params, extra
    key = keys.example_keys(key, images.shape[0])
    return base.to_float(self, images, keys.named(key, "binarize"))[:, None]

  def bits_per_dim(self, params, images, *, key):
    """Variational bound of each image over all trained steps, in bits/dim.

    Args:
      params: parameters of the network.
      images: (B, H, W, C) uint8.
      key: scalar or (B,) keys.

    Returns:
      See `diffusion.likelihood.bits_per_dim`.
    """
    key = keys.example_keys(key, images.shape[0])
    x0 = base.to_float(self, images, keys.named(key, "binarize"))
    return likelihood.bits_per_dim(
      lambda x, time: self._predict(params, x, time),
      x0,
      chains.Chain.of(self.process),
      keys.named(key, "bound"),
    )

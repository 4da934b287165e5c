"""HVAE whose encoder is the heat equation (Eq. 11 of the pseudo-video paper).

Encoder, fixed: q(u_k | u_0) = N(F(t_k) u_0, sigma_h^2 I), k = 1 .. K, with the
heat equation's solution F(t) and t_k = sigma_B(k)^2 / 2; the blur widths
sigma_B are log-spaced and sigma_B(0) = 0.
Decoder: p(u_{k-1} | u_k) = N(u_k + net(u_k, k), delta^2 I).
Loss: || F(t_{k-1}) u_0 - (u_k + net(u_k, k)) ||^2 at one random k per image,
which is the KL of that level up to constants (Rissanen et al. 2022).

The published code of that paper never trains level K (it draws k from 1 to
K - 1); here k is uniform on 1 .. K.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors, keys
from pseudovideo.augmentations import heat
from pseudovideo.losses import gaussian
from pseudovideo.models import unet
from pseudovideo.samplers import ancestral
from pseudovideo.tasks import base

_FIT_CHUNK = 1000


@dataclasses.dataclass(frozen=True)
class HeatHVAE:
  """Task `heat_hvae`; pixels in [0, 1].

  Attributes:
    image_shape: (H, W, C).
    model: the decoder network.
    binarize: `none`, `bernoulli` or `threshold`, before any blur.
    levels: K, the number of noisy levels besides the image (T = 18 in the
      paper).
    sigma_min: blur width of level 1, in pixels.
    sigma_max: blur width of level K, in pixels.
    sigma_h: standard deviation of the encoder, in pixel values.
    delta_ratio: delta / sigma_h, of the decoder's standard deviation.
  """

  image_shape: tuple[int, int, int]
  model: unet.UNet
  binarize: str = "none"
  levels: int = 18
  sigma_min: float = 0.5
  sigma_max: float = 20.0
  sigma_h: float = 0.01
  delta_ratio: float = 1.25

  value_range = (0.0, 1.0)

  @property
  def network_evaluations(self) -> int:
    return self.levels

  def check(self) -> None:
    """See `base.Task.check`."""
    unet.check_same_shape(self.model, self.image_shape)
    if self.levels < 2:
      raise errors.UserError(
        f"task.levels must be at least 2; got {self.levels}."
      )
    if not 0 < self.sigma_min < self.sigma_max:
      raise errors.UserError(
        "Blur widths need 0 < task.sigma_min < task.sigma_max; got "
        f"{self.sigma_min} and {self.sigma_max}."
      )
    if self.sigma_h <= 0 or self.delta_ratio <= 0:
      raise errors.UserError(
        "task.sigma_h and task.delta_ratio must be positive; got "
        f"{self.sigma_h} and {self.delta_ratio}."
      )

  def init(self, key, data):
    """See `base.Task.init`; fits the Gaussian that sampling starts from."""
    image = jnp.zeros((1, *self.image_shape))
    variables = jax.jit(self.model.init)(key, image, jnp.zeros((1,)))
    mean, std = self._fit_start(data.train_images)
    return variables["params"], {"start_mean": mean, "start_std": std}

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`; one term, `squared_error`, summed over pixels."""
    del step
    num = batch["image"].shape[0]
    key = keys.example_keys(key, num)
    x = base.to_float(self, batch["image"], keys.named(key, "binarize"))
    level = keys.integers(keys.named(key, "level"), num, 1, self.levels + 1)
    noisy = heat.heat_blur(x, self._sigmas[level])
    noisy += self.sigma_h * keys.normal(keys.named(key, "noise"), x.shape)
    target = heat.heat_blur(x, self._sigmas[level - 1])
    dropout_key = keys.named(key, "dropout") if train else None
    mean = self._mean(params, noisy, level, dropout_key)
    error = gaussian.squared_error(mean, target)
    return {"squared_error": base.Term(error, jnp.ones_like(error))}, extra

  def sample(self, params, extra, *, key, num):
    """See `base.Task.sample`; starts from the Gaussian fitted to the data."""
    key = keys.example_keys(key, num)
    shape = (num, *self.image_shape)
    start = heat.from_frequencies(
      extra["start_mean"][None]
      + extra["start_std"][None] * keys.normal(keys.named(key, "start"), shape)
    ) + self.sigma_h * keys.normal(keys.named(key, "start_noise"), shape)
    sigmas = jnp.full((self.levels,), self.delta_ratio * self.sigma_h)
    return ancestral.sample_chain(
      lambda x, level: self._mean(params, x, level),
      start,
      sigmas,
      key=keys.named(key, "chain"),
    )

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`; independent noise at every level."""
    del params, extra
    key = keys.example_keys(key, images.shape[0])
    x = base.to_float(self, images, keys.named(key, "binarize"))
    frames = [x]
    for level in range(1, self.levels + 1):
      noise = keys.normal(keys.numbered(key, level), x.shape)
      blurred = heat.heat_blur(x, self._sigmas[level])
      frames.append(blurred + self.sigma_h * noise)
    return jnp.stack(frames[::-1], axis=1)

  @property
  def _sigmas(self) -> jax.Array:
    """(K + 1,) blur widths, entry 0 zero."""
    sigmas = heat.blur_sigmas(self.levels, self.sigma_min, self.sigma_max)
    return jnp.asarray(sigmas, jnp.float32)

  def _mean(self, params, x, level, dropout_key=None):
    """Mean of u_{k-1} given u_k: the network predicts the difference."""
    return x + self.model.apply(
      {"params": params}, x, level, dropout_key=dropout_key
    )

  def _fit_start(self, images: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of each DCT coefficient at level K.

    A Gaussian with a diagonal covariance in DCT space, which is where natural
    images are nearly decorrelated; (H, W, C) each.
    """

    @jax.jit
    def coefficients(chunk, key):
      x = base.to_float(self, chunk, key)
      return heat.to_frequencies(heat.heat_blur(x, self._sigmas[-1]))

    total, squares = 0.0, 0.0
    for start in range(0, len(images), _FIT_CHUNK):
      chunk = np.asarray(images[start : start + _FIT_CHUNK])
      rows = keys.example_keys(jax.random.key(0), len(chunk), start)
      c = np.asarray(coefficients(chunk, rows), np.float64)
      total = total + c.sum(axis=0)
      squares = squares + np.square(c).sum(axis=0)
    mean = total / len(images)
    variance = np.maximum(squares / len(images) - np.square(mean), 0)
    return jnp.asarray(mean, jnp.float32), jnp.asarray(
      np.sqrt(variance), jnp.float32
    )

"""HVAE whose encoder is the heat equation (Eq. 11 of the pseudo-video paper).

Encoder, fixed: q(u_k | u_0) = N(F(t_k) u_0, sigma_h^2 I), k = 1 .. K, with the
heat equation's solution F(t) and t_k = sigma_B(k)^2 / 2; the blur widths
sigma_B grow with k and sigma_B(0) = 0.
Decoder: p(u_{k-1} | u_k) = N(u_k + net(u_k, k), delta^2 I), and for images in
black and white, if wanted, a Bernoulli p(u_0 | u_1).
Loss: || F(t_{k-1}) u_0 - (u_k + net(u_k, k)) ||^2 at one random k per image,
which is the KL of that level up to constants (Rissanen et al. 2022).

The published code of that paper never trains level K (it draws k from 1 to
K - 1) and leaves the KL of u_{K-1} out of its bound; here k is uniform on
1 .. K, and the bound has every term.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, Le

from pseudovideo import compiling, errors, keys, pixels
from pseudovideo.augmentations import heat
from pseudovideo.losses import bernoulli, gaussian
from pseudovideo.models import unet
from pseudovideo.samplers import ancestral
from pseudovideo.samplers import hvae_start as starts
from pseudovideo.tasks import base

BlurWidth = Annotated[float, Gt(0), Le(1e6)]
Deviation = Annotated[float, Ge(1e-6), Le(1e6)]
"""Beyond these bounds float32 cannot hold squares of their products."""

# Gives the Bernoulli loss the gradient of the squared error, see `loss`.
_BERNOULLI_WEIGHT = 2 * bernoulli.SCALE


@dataclasses.dataclass(frozen=True)
class HeatHVAE(base.Defaults):
  """Task `heat_hvae`; pixels in [0, 1].

  Attributes:
    image_shape: (H, W, C), square.
    model: the decoder network.
    binarize: `none`, `bernoulli` or `threshold`, before any blur.
    levels: K, the number of noisy levels besides the image (T = 18 in the
      paper).
    sigma_min: blur width of level 1, in pixels.
    sigma_max: blur width of level K, in pixels; the widths between have equal
      ratios.
    sigmas: the blur widths of levels 1 .. K; if empty, they follow from
      `sigma_min` and `sigma_max`, which are not used otherwise.
    sigma_h: standard deviation of the encoder, in pixel values.
    delta_ratio: delta / sigma_h, of the decoder's standard deviation.
    reconstruction_likelihood: p(u_0 | u_1), `gaussian` or `bernoulli`; the
      latter needs images in black and white.
    sampler: where samples start; may change after training.
  """

  image_shape: tuple[int, int, int]
  model: unet.UNet
  binarize: pixels.Binarize = "none"
  levels: base.Levels = 18
  sigma_min: BlurWidth = 0.5
  sigma_max: BlurWidth = 20.0
  sigmas: tuple[BlurWidth, ...] = ()
  sigma_h: Deviation = 0.01
  delta_ratio: Deviation = 1.25
  reconstruction_likelihood: base.Likelihood = "gaussian"
  sampler: starts.HeatSampler = dataclasses.field(
    default_factory=starts.HeatSampler
  )

  value_range = (0.0, 1.0)
  abilities = ("negative_elbo", "best_deltas")

  @property
  def network_evaluations(self) -> int:
    return self.levels

  def check(self) -> None:
    """See `base.Task.check`."""
    unet.check_same_shape(self.model, self.image_shape)
    height, width, _ = self.image_shape
    if height != width:
      raise errors.UserError(
        f"Task heat_hvae needs square images; got {height}x{width} pixels, "
        "which have to be cropped first."
      )
    self._check_blurs()
    base.check_likelihood(self.reconstruction_likelihood, self.binarize)

  def _check_blurs(self) -> None:
    if not self.sigmas:
      if self.sigma_min >= self.sigma_max:
        raise errors.UserError(
          "task.sigma_min must be smaller than task.sigma_max; got "
          f"{self.sigma_min} and {self.sigma_max}."
        )
    elif len(self.sigmas) != self.levels or any(
      np.diff((0, *self.sigmas)) <= 0
    ):
      raise errors.UserError(
        f"task.sigmas must be {self.levels} blur widths, one per level of "
        f"task.levels, each above the one before; got {self.sigmas}."
      )

  def init(self, key, data):
    """See `base.Task.init`; fits what both starts of sampling need.

    `start_modes` grows with the training set: 2 MB for 60,000 images of 28 x 28
    pixels at sigma_B = 20, but as much as float32 images at small blurs.
    """
    image = jnp.zeros((1, *self.image_shape))
    variables = compiling.once(self.model.init)(key, image, jnp.zeros((1,)))
    start = starts.fit(data.train_images, self._top_coefficients, self._modes)
    return variables["params"], base.make_extra(frozen=start)

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`; terms `squared_error` and `bernoulli`.

    `squared_error` is summed over pixels. With a Bernoulli last step an image
    at level 1 counts 0 in `squared_error`, and K times its -log p(u_0 | u_1) in
    `bernoulli`, where images at other levels count 0: the mean over a batch
    estimates the nats per image without bias. The loss of an image at level 1
    is 2 SCALE times these nats. With logits (mean - 1/2) / SCALE its gradient
    with respect to the mean is 2 (p - u_0), with p the probability of white. It
    is of the size of the squared error's gradient, 2 (mean - u_0), and equal to
    it at a grey mean of 1/2.
    """
    del step
    num = batch["image"].shape[0]
    key = keys.example_keys(key, num)
    x = base.to_float(self, batch["image"], keys.named(key, "binarize"))
    level = keys.integers(keys.named(key, "level"), num, 1, self.levels + 1)
    dropout_key = keys.named(key, "dropout") if train else None
    mean = self._reverse(
      params, x, level, keys.named(key, "noise"), dropout_key
    )
    error = self._squared_error(mean, x, level)
    if self.reconstruction_likelihood == "gaussian":
      return {"squared_error": base.mean_term(error, 1.0)}, extra
    first = level == 1
    nats = self.levels * self._bernoulli(mean, x)
    return {
      "squared_error": base.mean_term(jnp.where(first, 0, error), 1.0),
      "bernoulli": base.mean_term(
        jnp.where(first, nats, 0), _BERNOULLI_WEIGHT / self.levels
      ),
    }, extra

  def sample(self, params, extra, *, key, num):
    """See `base.Task.sample`.

    The last frame is the mean of p(u_0 | u_1): with a Bernoulli last step the
    probability of white.
    """
    key = keys.example_keys(key, num)
    if self.sampler.start == "gaussian":
      start = starts.draw_gaussian(extra["frozen"], key, num, self.sigma_h)
    else:
      start = starts.draw_training_image(
        extra["frozen"], key, num, self._modes, self._delta
      )
    video = ancestral.sample_chain(
      lambda x, level: self._mean(params, x, level),
      start,
      jnp.full((self.levels,), self._delta),
      key=keys.named(key, "chain"),
    )
    if self.reconstruction_likelihood == "gaussian":
      return video
    white = jax.nn.sigmoid(bernoulli.logits_of_mean(video[:, -1]))
    return video.at[:, -1].set(white)

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`; independent noise at every level."""
    del params, extra
    key = keys.example_keys(key, images.shape[0])
    x = base.to_float(self, images, keys.named(key, "binarize"))
    frames = [x]
    for level in range(1, self.levels + 1):
      frames.append(self._noisy(x, level, keys.numbered(key, level)))
    return jnp.stack(frames[::-1], axis=1)

  def negative_elbo(self, params, extra, images, *, key):
    """An upper bound of -log p(u_0), one noise per level; unbiased given u_0.

    It is the sum of (Rissanen et al. 2022, Sec. 3.2)
      prior           KL(q(u_K | u_0) || p(u_K)), of the start that `sampler`
                      names: exact for `gaussian`; an upper bound for
                      `training_images`, which must not hold the image itself
      levels          L_{k-1} = E KL(q(u_{k-1} | u_0) || p(u_{k-1} | u_k)) for
                      k = 2 .. K, with delta = delta_ratio * sigma_h
      reconstruction  L_0 = -E log p(u_0 | u_1).
    With a Gaussian last step L_0 is minus the log of a density over pixels in
    [0, 1], which for images in black and white, and for any other pixels of
    finitely many values, has no lower bound as delta shrinks. With a Bernoulli
    last step L_0 is minus the log of a probability.

    Args:
      params: parameters of the network.
      extra: the second result of `init`.
      images: (B, H, W, C) uint8.
      key: scalar or (B,) keys, of the noise and of stochastic binarization.

    Returns:
      `total`, `prior` and `reconstruction`, (B,) nats; `levels` (B, K - 1),
      L_1 .. L_{K-1}; and `squared_errors` (B, K), in column k - 1 the sum over
      pixels of (F(t_{k-1}) u_0 - mean of p(u_{k-1} | u_k))^2.
    """
    key = keys.example_keys(key, len(images))
    x = base.to_float(self, images, keys.named(key, "binarize"))
    noise_key = keys.named(key, "bound")

    def at_level(_, k):
      level = jnp.full((len(x),), k, jnp.int32)
      mean = self._reverse(params, x, level, keys.numbered(noise_key, k))
      error = self._squared_error(mean, x, level)
      return None, (error, self._bernoulli(mean, x))

    _, (squared, nats) = jax.lax.scan(
      at_level, None, jnp.arange(1, self.levels + 1)
    )
    return self._bound(
      squared.T,
      np.full(self.levels, self._delta),
      self._prior(extra["frozen"], x),
      nats[0],
    )

  def negative_elbo_at(
    self, parts: Mapping[str, Any], deltas: np.ndarray
  ) -> dict[str, np.ndarray]:
    """The bound of `negative_elbo` with other scales of the decoder.

    Args:
      parts: what `negative_elbo` returned.
      deltas: (K,) standard deviations of p(u_0 | u_1) .. p(u_{K-1} | u_K); the
        first is not used by a Bernoulli last step. The prior stays.

    Returns:
      The same dict, float64.
    """
    parts = {name: np.float64(value) for name, value in parts.items()}
    return self._bound(
      parts["squared_errors"],
      np.float64(deltas),
      parts["prior"],
      parts["reconstruction"],
    )

  def best_deltas(self, squared_errors: np.ndarray) -> np.ndarray:
    """The scales of the decoder that minimise the mean of the bound.

    delta_k^2 is the mean over images and pixels of the squared error, plus
    sigma_h^2 for k >= 2.

    Args:
      squared_errors: (N, K) of `negative_elbo`.

    Returns:
      (K,) float64, for `negative_elbo_at`.
    """
    variances = np.float64(squared_errors).mean(axis=0) / self._size
    variances[1:] += self.sigma_h**2
    return np.sqrt(variances)

  @property
  def _sigmas(self) -> jax.Array:
    """(K + 1,) blur widths, entry 0 zero."""
    if self.sigmas:
      return jnp.asarray((0.0, *self.sigmas), jnp.float32)
    sigmas = heat.blur_sigmas(self.levels, self.sigma_min, self.sigma_max)
    return jnp.asarray(sigmas, jnp.float32)

  @property
  def _delta(self) -> float:
    return self.delta_ratio * self.sigma_h

  @property
  def _size(self) -> int:
    """Number of pixel values."""
    return math.prod(self.image_shape)

  @property
  def _modes(self) -> np.ndarray:
    """(M,) coefficients that are left at level K."""
    widest = self.sigmas[-1] if self.sigmas else self.sigma_max
    return starts.low_modes(self.image_shape[0], widest)

  def _top_coefficients(self, images, key):
    """DCT coefficients of uint8 images at level K."""
    return heat.blurred_frequencies(
      base.to_float(self, images, key), self._sigmas[-1]
    )

  def _mean(self, params, x, level, dropout_key=None):
    """Mean of u_{k-1} given u_k: the network predicts the difference."""
    return x + self.model.apply(
      {"params": params}, x, level, dropout_key=dropout_key
    )

  def _noisy(self, x, level, key):
    """u_k ~ q(u_k | u_0 = x)."""
    blurred = heat.heat_blur(x, self._sigmas[level])
    return blurred + self.sigma_h * keys.normal(key, x.shape)

  def _reverse(self, params, x, level, key, dropout_key=None):
    """Mean of p(u_{k-1} | u_k) at a u_k ~ q(u_k | u_0 = x)."""
    noisy = self._noisy(x, level, key)
    return self._mean(params, noisy, level, dropout_key)

  def _squared_error(self, mean, x, level):
    """(B,): from the mean of q(u_{k-1} | u_0 = x)."""
    target = heat.heat_blur(x, self._sigmas[level - 1])
    return gaussian.squared_error(mean, target)

  def _bernoulli(self, mean, x):
    """(B,): -log p(u_0 = x | u_1) of a Bernoulli last step."""
    return bernoulli.negative_log_likelihood(bernoulli.logits_of_mean(mean), x)

  def _prior(self, start, x):
    """(B,): the divergence of q(u_K | u_0 = x) from where samples start."""
    c = heat.blurred_frequencies(x, self._sigmas[-1])
    if self.sampler.start == "gaussian":
      return starts.gaussian_divergence(start, c, self.sigma_h)
    return starts.mixture_divergence(
      start, c, self._modes, self.sigma_h, self._delta
    )

  def _bound(self, squared_errors, deltas, prior, bernoulli_nats):
    """Sums the terms of the bound, as numpy or jax arrays.

    Args:
      squared_errors: (B, K).
      deltas: (K,) numpy.
      prior: (B,).
      bernoulli_nats: (B,), used if that is the last step.
    """
    scaled = squared_errors / (2 * np.square(deltas))[None]
    ratios = np.square(self.sigma_h / deltas[1:])
    scales = self._size / 2 * (ratios - 1 - np.log(ratios))
    levels = scaled[:, 1:] + scales[None]
    if self.reconstruction_likelihood == "bernoulli":
      reconstruction = bernoulli_nats
    else:
      log_scale = math.log(deltas[0]) + math.log(2 * math.pi) / 2
      reconstruction = scaled[:, 0] + self._size * log_scale
    return {
      "total": prior + levels.sum(axis=1) + reconstruction,
      "prior": prior,
      "reconstruction": reconstruction,
      "levels": levels,
      "squared_errors": squared_errors,
    }

"""The standard HVAE: a learnable bottom-up encoder (Eq. 4), same decoder.

Encoder: q(x_t | x_{t-1}) = N(m(x_{t-1}, t), diag s(x_{t-1}, t)^2), t = 1 .. T.
Decoder: p(x_{t-1} | x_t) = N(x_t + net(x_t, t), sigma_{t-1}^2 I), with one
learned scale per level, and p(x_T) = N(0, I). Latents have the size of the
image, so that the network is the network of `heat_hvae`. With
`latent_downscale` they are smaller (d <= n in Sec. 2.1): the same network then
predicts x_0 from x_1 repeated to the image's size.

Eq. 6 is then, along one reparametrised path x_1 .. x_T,
  ELBO = log p(x_0 | x_1)
       + sum_{t=1}^{T-1} ( log p(x_t | x_{t+1}) + H[q(x_t | x_{t-1})] )
       - KL( q(x_T | x_{T-1}) || N(0, I) ).
Entropies and the last KL are exact; the middle terms are one-sample estimates.
On black-and-white images the density of x_0 is unbounded as sigma_0 goes to 0;
with `reconstruction_likelihood` "bernoulli" p(x_0 | x_1) is a probability.
"""

import dataclasses
import math
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Le

from pseudovideo import compiling, errors, keys, pixels
from pseudovideo.losses import bernoulli, gaussian
from pseudovideo.models import encoder, unet
from pseudovideo.samplers import ancestral
from pseudovideo.tasks import base

_LOG_SIGMA_BOUNDS = (math.log(1e-3), math.log(2.0))


@dataclasses.dataclass(frozen=True)
class LearnedHVAE(base.Defaults):
  """Task `learned_hvae`; pixels in [0, 1].

  Attributes:
    image_shape: (H, W, C).
    model: the decoder network.
    encoder: the encoder network.
    binarize: `none`, `bernoulli` or `threshold`.
    levels: T, the number of latents.
    reconstruction_likelihood: `gaussian` as at the other levels, or
      `bernoulli`, for binarized images: each pixel has the logit
      `bernoulli.logits_of_mean` of the mean that the decoder predicts, and
      sigma_0 is not used.
    latent_downscale: 1, 2 or 4: the latents have the image's sides divided by
      it. The encoder sees the image averaged to that size.
    initial_sigma: initial standard deviation of the decoder at every level.
    warmup_steps: updates over which the weight of all terms but the
      reconstruction grows from 0 to 1.
    decoder_levels: `one` random level per image and step, times T (unbiased,
      and the decoder updates of the heat HVAE), or `all` of them. With smaller
      latents `one` is level 1 and a random one of the other levels, times T -
      1: one call at the size of the image, as without, and one call at the size
      of the latents.
    scan: how the T sequential encoder calls are compiled. `unroll` is 15 to 30
      times faster on CPU, where XLA is slow at gradients of convolutions in
      loops; `remat` is a rematerialised scan, small in memory; `auto` chooses
      by the backend.
  """

  image_shape: tuple[int, int, int]
  model: unet.UNet
  encoder: encoder.LatentEncoder
  binarize: pixels.Binarize = "none"
  levels: base.Levels = 18
  reconstruction_likelihood: base.Likelihood = "gaussian"
  latent_downscale: Literal[1, 2, 4] = 1
  initial_sigma: Annotated[float, Ge(1e-3), Le(2)] = 0.1
  warmup_steps: base.Updates = 0
  decoder_levels: Literal["one", "all"] = "one"
  scan: Literal["auto", "unroll", "remat"] = "auto"

  value_range = (0.0, 1.0)
  abilities = ("negative_elbo",)

  @property
  def network_evaluations(self) -> int:
    return self.levels

  def check(self) -> None:
    """See `base.Task.check`."""
    unet.check_same_shape(self.model, self.image_shape)
    encoder.check(self.encoder)
    base.check_likelihood(self.reconstruction_likelihood, self.binarize)
    self._check_latents()

  def init(self, key, data):
    """See `base.Task.init`; nothing is fitted to the data."""
    del data
    image, level = jnp.zeros((1, *self.image_shape)), jnp.zeros((1,))
    decoder_key, encoder_key = jax.random.split(key)
    decode = compiling.once(self.model.init)
    encode = compiling.once(self.encoder.init)
    params = {
      "decoder": decode(decoder_key, image, level)["params"],
      "encoder": encode(encoder_key, image, level)["params"],
      "log_sigmas": jnp.full((self.levels,), math.log(self.initial_sigma)),
    }
    return params, {}

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`; all terms in nats per image.

    Optimised: `reconstruction`, `transitions` (minus the log-densities of x_1
      to x_{T-1}), `entropy` and `prior` (the KL at the top). Logged besides:
      `negative_elbo`, and per level
    - `cost_01` .. for t = 1 .. T-1, the estimate of
      -log p(x_t | x_{t+1}) - H[q(x_t | x_{t-1})]. It is no KL, since x_{t+1} is
      drawn after x_t, and may be negative; a collapsed latent costs 0, but
      so does one that the decoder predicts perfectly;
    - `signal_01` .. for t = 1 .. T, see `signals`, which tells the two apart.
    """
    num = batch["image"].shape[0]
    key = keys.example_keys(key, num)
    x = base.to_float(self, batch["image"], keys.named(key, "binarize"))
    latents, means, log_scales = self._encode(
      params, x, keys.named(key, "encoder"), differentiated=train
    )
    level = self._decoder_levels(keys.named(key, "level"), num)
    dropout_key = keys.named(key, "dropout") if train else None
    nll, counts = self._chosen_nll(params, x, latents, level, dropout_key)
    entropies = jax.vmap(gaussian.entropy, 1, 1)(log_scales)
    prior = gaussian.kl_to_standard(means[:, -1], log_scales[:, -1])
    warm = jnp.minimum(1.0, (step + 1) / max(1, self.warmup_steps))
    terms = self._terms(nll, counts, entropies, prior, warm)
    for t, signal in enumerate(signals(means, log_scales), 1):
      same = jnp.broadcast_to(signal, (num,))
      terms[f"signal_{t:02d}"] = base.mean_term(same)
    return terms, extra

  def negative_elbo(self, params, extra, images, *, key):
    """The bound of Eq. 6 along one path of the encoder; no dropout.

    The decoder is called level by level, so that it takes the memory of one
    call only.

    Args:
      params: parameters that `init` made.
      extra: the second result of `init`.
      images: (B, H, W, C) uint8.
      key: scalar or (B,) keys.

    Returns:
      Nats per image: `prior`, the KL at the top, (B,); `reconstruction`,
      -log p(x_0 | x_1), (B,); `levels`, (B, T-1), entry t - 1 an estimate of
      -log p(x_t | x_{t+1}) - H[q(x_t | x_{t-1})]; `total`, their sum, (B,), an
      unbiased estimate of the negative ELBO.
    """
    del extra
    key = keys.example_keys(key, images.shape[0])
    x = base.to_float(self, images, keys.named(key, "binarize"))
    latents, means, log_scales = self._encode(
      params, x, keys.named(key, "encoder"), differentiated=False
    )

    def at_level(pair):
      level, below, above = pair
      level = jnp.full((x.shape[0],), level)
      return self._nll(params, below, above, level, None)

    reconstruction = self._image_nll(params, x, latents[:, 0], None)
    between = jax.lax.map(
      at_level,
      (
        jnp.arange(2, self.levels + 1),
        jnp.moveaxis(latents[:, :-1], 1, 0),
        jnp.moveaxis(latents[:, 1:], 1, 0),
      ),
    )
    entropies = jax.vmap(gaussian.entropy, 1, 1)(log_scales)
    levels = between.T - entropies[:, :-1]
    prior = gaussian.kl_to_standard(means[:, -1], log_scales[:, -1])
    return {
      "total": prior + reconstruction + jnp.sum(levels, axis=1),
      "prior": prior,
      "reconstruction": reconstruction,
      "levels": levels,
    }

  def sample(self, params, extra, *, key, num):
    """See `base.Task.sample`; starts from N(0, I).

    The last frame is the mean of p(x_0 | x_1). Smaller latents are repeated to
    the size of the image.
    """
    del extra
    key = keys.example_keys(key, num)
    start = keys.normal(keys.named(key, "start"), (num, *self._latent_shape))
    sigmas = jnp.exp(self._log_sigmas(params))
    latents = ancestral.sample_chain(
      lambda x, level: self._mean(params, x, level + 1),
      start,
      sigmas[1:],
      key=keys.named(key, "chain"),
    )
    # The chain ends with the mean of x_1.
    noise = keys.normal(keys.named(key, "first_latent"), start.shape)
    first = latents[:, -1] + sigmas[1] * noise
    image = self._image_mean(params, first)
    if self.reconstruction_likelihood == "bernoulli":
      image = jax.nn.sigmoid(bernoulli.logits_of_mean(image))
    shown = self._repeat(jnp.concatenate([latents[:, :-1], first[:, None]], 1))
    return jnp.concatenate([shown, image[:, None]], axis=1)

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`; the path that the encoder draws.

    Smaller latents are repeated to the size of the image.
    """
    del extra
    key = keys.example_keys(key, images.shape[0])
    x = base.to_float(self, images, keys.named(key, "binarize"))
    latents, _, _ = self._encode(
      params, x, keys.named(key, "encoder"), differentiated=False
    )
    path = jnp.concatenate([x[:, None], self._repeat(latents)], axis=1)
    return path[:, ::-1]

  @property
  def _latent_shape(self) -> tuple[int, int, int]:
    height, width, channels = self.image_shape
    factor = self.latent_downscale
    return height // factor, width // factor, channels

  def _check_latents(self) -> None:
    factor = self.latent_downscale
    levels, (height, width, _) = len(self.model.multipliers), self.image_shape
    needed = factor * 2 ** (levels - 1)
    if height % needed or width % needed:
      raise errors.UserError(
        f"task.latent_downscale={factor} with the {levels} levels of "
        f"model.multipliers needs image sides divisible by {needed}; got "
        f"images of {height}x{width}."
      )

  def _log_sigmas(self, params) -> jax.Array:
    """(T,) log standard deviations of p(x_0 | x_1) .. p(x_{T-1} | x_T)."""
    return jnp.clip(params["log_sigmas"], *_LOG_SIGMA_BOUNDS)

  def _mean(self, params, x, level, dropout_key=None):
    """Mean of x_{t-1} given x_t: the network predicts the difference."""
    return x + self.model.apply(
      {"params": params["decoder"]}, x, level, dropout_key=dropout_key
    )

  def _image_mean(self, params, first, dropout_key=None):
    """Mean of x_0 given x_1 (B, h, w, C), before any sigmoid."""
    level = jnp.ones((first.shape[0],), jnp.int32)
    return self._mean(params, self._repeat(first), level, dropout_key)

  def _repeat(self, latents: jax.Array) -> jax.Array:
    """(..., h, w, C) -> (..., H, W, C), every pixel repeated."""
    rows = jnp.repeat(latents, self.latent_downscale, axis=-3)
    return jnp.repeat(rows, self.latent_downscale, axis=-2)

  def _pool(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, h, w, C), block means."""
    height, width, channels = self._latent_shape
    factor = self.latent_downscale
    blocks = x.reshape(-1, height, factor, width, factor, channels)
    return jnp.mean(blocks, axis=(2, 4))

  def _encode(self, params, x, key, *, differentiated):
    """x_1 .. x_T of one path, their means and log scales: (B, T, h, w, C)."""

    def step(x, level):
      moments: Any = self.encoder.apply(
        {"params": params["encoder"]}, x, jnp.full((x.shape[0],), level)
      )
      mean, log_scale = moments
      noise = keys.normal(keys.numbered(key, level), x.shape)
      x = mean + jnp.exp(log_scale) * noise
      return x, (x, mean, log_scale)

    unroll = differentiated and (
      self.scan == "unroll"
      or (self.scan == "auto" and jax.default_backend() == "cpu")
    )
    _, path = jax.lax.scan(
      step if unroll else jax.checkpoint(step),
      self._pool(x),
      jnp.arange(1, self.levels + 1),
      unroll=self.levels if unroll else 1,
    )
    return tuple(jnp.moveaxis(a, 0, 1) for a in path)

  @property
  def _lowest_drawn(self) -> int:
    """The lowest level that is drawn for the decoder's call.

    Level 1 has a call of its own where x_0 has another size.
    """
    return 1 if self.latent_downscale == 1 else 2

  def _decoder_levels(self, key, num):
    """(B, S) levels for one call of the decoder."""
    low = self._lowest_drawn
    if self.decoder_levels == "one":
      return keys.integers(key, num, low, self.levels + 1)[:, None]
    every = jnp.arange(low, self.levels + 1)
    return jnp.broadcast_to(every[None], (num, every.size))

  def _chosen_nll(self, params, x, latents, level, dropout_key):
    """-log p(x_{t-1} | x_t) at the given levels, and their weights.

    Returns:
      Two arrays (B, T), entry t - 1 of level t, 0 where it was not evaluated;
      their product sums to an unbiased estimate of the sum over all levels.
    """
    num, count = level.shape
    low = self._lowest_drawn
    path = latents
    if low == 1:
      path = jnp.concatenate([x[:, None], latents], axis=1)

    def chosen(index):
      rows = path[jnp.arange(num)[:, None], index]
      return rows.reshape(num * count, *path.shape[2:])

    rows_key = None
    if dropout_key is not None:
      rows_key = jax.vmap(lambda k: keys.example_keys(k, count))(dropout_key)
      rows_key = rows_key.reshape(num * count)
    nll = self._nll(
      params,
      chosen(level - low),
      chosen(level - low + 1),
      level.reshape(num * count),
      rows_key,
    ).reshape(num, count)
    here = level[:, :, None] == jnp.arange(1, self.levels + 1)[None, None]
    nll = jnp.sum(jnp.where(here, nll[:, :, None], 0), axis=1)
    weight = (self.levels + 1 - low) / count
    counts = jnp.where(here.any(axis=1), weight, 0.0)
    if low == 2:
      first = self._image_nll(params, x, latents[:, 0], dropout_key)
      nll, counts = nll.at[:, 0].set(first), counts.at[:, 0].set(1.0)
    return nll, counts

  def _image_nll(self, params, x, first, dropout_key):
    """-log p(x_0 | x_1) of images and x_1 (B, h, w, C): (B,)."""
    mean = self._image_mean(params, first, dropout_key)
    return self._last_nll(params, x, mean)

  def _last_nll(self, params, x, mean):
    if self.reconstruction_likelihood == "bernoulli":
      return bernoulli.negative_log_likelihood(
        bernoulli.logits_of_mean(mean), x
      )
    log_sigma = self._log_sigmas(params)[0]
    return gaussian.negative_log_density(
      x, mean, log_sigma.reshape((1,) * x.ndim)
    )

  def _nll(self, params, below, above, level, dropout_key):
    """-log p(x_{t-1} | x_t), (B,), where both have the same size.

    Args:
      params: parameters that `init` made.
      below: x_{t-1}, (B, ...).
      above: x_t, (B, ...).
      level: t, (B,).
      dropout_key: (B,) keys or None.
    """
    mean = self._mean(params, above, level, dropout_key)
    log_sigma = self._log_sigmas(params)[level - 1][:, None, None, None]
    nll = gaussian.negative_log_density(below, mean, log_sigma)
    if self.reconstruction_likelihood == "gaussian" or self._lowest_drawn == 2:
      return nll
    return jnp.where(level == 1, self._last_nll(params, below, mean), nll)

  def _terms(self, nll, counts, entropies, prior, warm):
    """The loss from nll, its weights and entropies (B, T) and prior (B,)."""
    scaled = nll * counts
    reconstruction = scaled[:, 0]
    transitions = jnp.sum(scaled[:, 1:], axis=1)
    entropy = jnp.sum(entropies[:, :-1], axis=1)
    bound = reconstruction + transitions - entropy + prior
    terms = {
      "reconstruction": base.mean_term(reconstruction, 1.0),
      "transitions": base.mean_term(transitions, warm),
      "entropy": base.mean_term(entropy, -warm),
      "prior": base.mean_term(prior, warm),
      "negative_elbo": base.mean_term(bound),
    }
    for t in range(1, self.levels):
      cost = nll[:, t] - entropies[:, t - 1]
      seen = (counts[:, t] > 0).astype(cost.dtype)
      terms[f"cost_{t:02d}"] = base.Term(cost, seen, 0)
    return terms


def signals(means: jax.Array, log_scales: jax.Array) -> jax.Array:
  """The share of each latent's variance that is not the encoder's noise.

  Per level it is the mean over pixels of V / (V + E[s_t^2]), with V the
  variance of the posterior mean over the batch. 0: q(x_t | x_{t-1}) is the same
  for all examples, the latent has collapsed. 1: it repeats its input without
  noise. What it repeats may be noise of the levels below.

  Args:
    means: (B, T, h, w, C) of q(x_t | x_{t-1}), B at least 2 to say anything.
    log_scales: their logarithmic deviations, of the same shape.

  Returns:
    (T,) in [0, 1].
  """
  spread = jnp.var(means, axis=0)
  noise = jnp.mean(jnp.exp(2 * log_scales), axis=0)
  return jnp.mean(spread / (spread + noise), axis=(1, 2, 3))

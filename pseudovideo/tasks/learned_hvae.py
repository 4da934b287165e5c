"""The standard HVAE: a learnable bottom-up encoder (Eq. 4), same decoder.

Encoder: q(x_t | x_{t-1}) = N(m(x_{t-1}, t), diag s(x_{t-1}, t)^2), t = 1 .. T.
Decoder: p(x_{t-1} | x_t) = N(x_t + net(x_t, t), sigma_{t-1}^2 I), with one
learned scale per level, and p(x_T) = N(0, I). Latents have the size of the
image, so that the network is literally that of `heat_hvae`.

Eq. 6 is then, along one reparametrised path x_1 .. x_T,
  ELBO = log p(x_0 | x_1)
       + sum_{t=1}^{T-1} ( log p(x_t | x_{t+1}) + H[q(x_t | x_{t-1})] )
       - KL( q(x_T | x_{T-1}) || N(0, I) ).
Entropies and the last KL are exact; the middle terms are one-sample estimates.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from pseudovideo import errors, keys
from pseudovideo.losses import gaussian
from pseudovideo.models import encoder, unet
from pseudovideo.samplers import ancestral
from pseudovideo.tasks import base

DECODER_LEVELS = ("one", "all")
SCANS = ("auto", "unroll", "remat")

_LOG_SIGMA_BOUNDS = (math.log(1e-3), math.log(2.0))


@dataclasses.dataclass(frozen=True)
class LearnedHVAE:
  """Task `learned_hvae`; pixels in [0, 1].

  Attributes:
    image_shape: (H, W, C).
    model: the decoder network.
    encoder: the encoder network.
    binarize: `none`, `bernoulli` or `threshold`.
    levels: T, the number of latents.
    initial_sigma: of the decoder, at every level.
    warmup_steps: updates over which the weight of all terms but the
      reconstruction grows from 0 to 1.
    decoder_levels: `one` random level per image and step, times T (unbiased,
      and the decoder updates of the heat HVAE), or `all` of them.
    scan: how the T sequential encoder calls are compiled. `unroll` is 15 to 30
      times faster on CPU, where XLA is slow at gradients of convolutions in
      loops; `remat` is a rematerialised scan, small in memory; `auto` chooses
      by the backend.
  """

  image_shape: tuple[int, int, int]
  model: unet.UNet
  encoder: encoder.LatentEncoder
  binarize: str = "none"
  levels: int = 18
  initial_sigma: float = 0.1
  warmup_steps: int = 0
  decoder_levels: str = "one"
  scan: str = "auto"

  value_range = (0.0, 1.0)

  @property
  def network_evaluations(self) -> int:
    return self.levels

  def check(self) -> None:
    """See `base.Task.check`."""
    unet.check_same_shape(self.model, self.image_shape)
    encoder.check(self.encoder)
    if self.levels < 2 or self.warmup_steps < 0:
      raise errors.UserError(
        "task.levels must be at least 2 and task.warmup_steps at least 0; got "
        f"{self.levels} and {self.warmup_steps}."
      )
    if not 1e-3 <= self.initial_sigma <= 2:
      raise errors.UserError(
        f"task.initial_sigma must lie in [0.001, 2]; got {self.initial_sigma}."
      )
    if self.decoder_levels not in DECODER_LEVELS:
      raise errors.unknown(
        "task.decoder_levels", self.decoder_levels, DECODER_LEVELS
      )
    if self.scan not in SCANS:
      raise errors.unknown("task.scan", self.scan, SCANS)

  def init(self, key, data):
    """See `base.Task.init`; nothing is fitted to the data."""
    del data
    image, level = jnp.zeros((1, *self.image_shape)), jnp.zeros((1,))
    decoder_key, encoder_key = jax.random.split(key)
    params = {
      "decoder": jax.jit(self.model.init)(decoder_key, image, level)["params"],
      "encoder": jax.jit(self.encoder.init)(encoder_key, image, level)[
        "params"
      ],
      "log_sigmas": jnp.full((self.levels,), math.log(self.initial_sigma)),
    }
    return params, {}

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`; all terms in nats per image.

    Optimised: `reconstruction`, `transitions` (minus the log-densities of x_1
    to x_{T-1}), `entropy` and `prior` (the KL at the top). Logged besides:
    `negative_elbo`, and per level t = 1 .. T-1 `cost_01` .., the estimate of
    -log p(x_t | x_{t+1}) - H[q(x_t | x_{t-1})]. It is no KL, since x_{t+1} is
    drawn after x_t, and may be negative; a collapsed latent costs 0.
    """
    num = batch["image"].shape[0]
    key = keys.example_keys(key, num)
    x = base.to_float(self, batch["image"], keys.named(key, "binarize"))
    path, means, log_scales = self._encode(
      params, x, keys.named(key, "encoder"), differentiated=train
    )
    level = self._decoder_levels(keys.named(key, "level"), num)
    dropout_key = keys.named(key, "dropout") if train else None
    nll = self._nll(params, path, level, dropout_key)
    entropies = jax.vmap(gaussian.entropy, 1, 1)(log_scales)
    prior = gaussian.kl_to_standard(means[:, -1], log_scales[:, -1])
    warm = jnp.minimum(1.0, (step + 1) / max(1, self.warmup_steps))
    return self._terms(level, nll, entropies, prior, warm), extra

  def sample(self, params, extra, *, key, num):
    """See `base.Task.sample`; starts from N(0, I)."""
    del extra
    key = keys.example_keys(key, num)
    start = keys.normal(keys.named(key, "start"), (num, *self.image_shape))
    return ancestral.sample_chain(
      lambda x, level: self._mean(params, x, level),
      start,
      jnp.exp(self._log_sigmas(params)),
      key=keys.named(key, "chain"),
    )

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`; the path that the encoder draws."""
    del extra
    key = keys.example_keys(key, images.shape[0])
    x = base.to_float(self, images, keys.named(key, "binarize"))
    path, _, _ = self._encode(
      params, x, keys.named(key, "encoder"), differentiated=False
    )
    return path[:, ::-1]

  def _log_sigmas(self, params) -> jax.Array:
    """(T,) log standard deviations of p(x_0 | x_1) .. p(x_{T-1} | x_T)."""
    return jnp.clip(params["log_sigmas"], *_LOG_SIGMA_BOUNDS)

  def _mean(self, params, x, level, dropout_key=None):
    """Mean of x_{t-1} given x_t: the network predicts the difference."""
    return x + self.model.apply(
      {"params": params["decoder"]}, x, level, dropout_key=dropout_key
    )

  def _encode(self, params, x, key, *, differentiated):
    """One path: x_0 .. x_T (B, T+1, ...); means, log scales (B, T, ...)."""

    def step(x, level):
      mean, log_scale = self.encoder.apply(
        {"params": params["encoder"]}, x, jnp.full((x.shape[0],), level)
      )
      noise = keys.normal(keys.numbered(key, level), x.shape)
      x = mean + jnp.exp(log_scale) * noise
      return x, (x, mean, log_scale)

    unroll = differentiated and (
      self.scan == "unroll"
      or (self.scan == "auto" and jax.default_backend() == "cpu")
    )
    _, (path, means, log_scales) = jax.lax.scan(
      step if unroll else jax.checkpoint(step),
      x,
      jnp.arange(1, self.levels + 1),
      unroll=self.levels if unroll else 1,
    )
    path = jnp.concatenate([x[None], path])
    return tuple(jnp.moveaxis(a, 0, 1) for a in (path, means, log_scales))

  def _decoder_levels(self, key, num):
    """(B, S) levels at which the decoder is called, S = 1 or T."""
    if self.decoder_levels == "one":
      return keys.integers(key, num, 1, self.levels + 1)[:, None]
    every = jnp.arange(1, self.levels + 1)
    return jnp.broadcast_to(every[None], (num, self.levels))

  def _nll(self, params, path, level, dropout_key):
    """-log p(x_{t-1} | x_t) at the given levels, (B, S)."""
    num, count = level.shape
    rows = jnp.arange(num)[:, None]

    def flat(a):
      return a.reshape(num * count, *a.shape[2:])

    if dropout_key is not None:
      dropout_key = flat(
        jax.vmap(lambda k: keys.example_keys(k, count))(dropout_key)
      )
    levels = flat(level)
    mean = self._mean(params, flat(path[rows, level]), levels, dropout_key)
    target = flat(path[rows, level - 1])
    log_sigma = self._log_sigmas(params)[levels - 1][:, None, None, None]
    nll = gaussian.negative_log_density(target, mean, log_sigma)
    return nll.reshape(num, count)

  def _terms(self, level, nll, entropies, prior, warm):
    """The loss from nll (B, S), entropies (B, T), prior (B,)."""
    ones = jnp.ones_like(prior)
    scaled = nll * (self.levels / level.shape[1])
    first = level == 1
    reconstruction = jnp.sum(jnp.where(first, scaled, 0), axis=1)
    transitions = jnp.sum(jnp.where(first, 0, scaled), axis=1)
    entropy = jnp.sum(entropies[:, :-1], axis=1)
    bound = reconstruction + transitions - entropy + prior
    terms = {
      "reconstruction": base.Term(reconstruction, ones),
      "transitions": base.Term(transitions, ones, warm),
      "entropy": base.Term(entropy, ones, -warm),
      "prior": base.Term(prior, ones, warm),
      "negative_elbo": base.Term(bound, ones, 0),
    }
    for t in range(1, self.levels):
      here = level == t + 1
      cost = jnp.sum(jnp.where(here, nll, 0), axis=1) - entropies[:, t - 1]
      seen = here.any(axis=1).astype(cost.dtype)
      terms[f"cost_{t:02d}"] = base.Term(cost, seen, 0)
    return terms

"""ImageGPT and VideoGPT, which predict tokens one after another.

The model p(z) = prod_n p(z_n | z_1 .. z_{n-1}) is trained by maximum likelihood
(Sec. 3.2). With the tokens of single images it is the image model.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from pseudovideo import compiling, keys
from pseudovideo.models import video_gpt
from pseudovideo.samplers import tokens as sampler_functions
from pseudovideo.tasks import base, token_prior


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextToken(token_prior.TokenPrior):
  """Task `next_token`; see `token_prior.TokenPrior`.

  Attributes:
    model: the network.
    sampler: how a token is drawn; may change after training.
  """

  model: video_gpt.VideoGPT
  sampler: sampler_functions.TokenSampler

  abilities = ("log_likelihood",)
  derived: ClassVar[tuple[str, ...]] = (
    *token_prior.TokenPrior.derived,
    "code_width",
  )

  @property
  def network_evaluations(self) -> int:
    """One evaluation for each token, of that token alone."""
    return self.num_tokens

  @property
  def network(self) -> video_gpt.VideoGPT:
    """The network for the tokenizer's grid, codes and their vectors."""
    return super().network.clone(code_width=self.coder.quantizer.width)

  def check(self) -> None:
    """See `base.Task.check`."""
    super().check()
    self.network.check()
    self.sampler.check(self.coder.num_codes)

  def init_params(self, key):
    """See `token_prior.TokenPrior.init_params`."""
    network = self.network
    tokens = jnp.zeros((1, self.num_tokens), jnp.int32)
    if network.embedding == "codes":
      tokens = jnp.zeros((1, self.num_tokens, network.code_width))
    return {"network": compiling.once(network.init)(key, tokens)["params"]}

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`.

    Term `nll`: -log p of a token given the tokens before it, in nats, a mean
    over the grid.
    """
    del step
    key = token_prior.batch_keys(batch, key)
    dropout_key = keys.named(key, "dropout") if train else None
    log_p = self.log_likelihood(
      params, extra, token_prior.flat_ids(batch), dropout_key=dropout_key
    )
    nll = -jnp.mean(log_p, axis=1)
    return {"nll": base.mean_term(nll, 1.0)}, extra

  def log_likelihood(self, params, extra, ids, *, dropout_key=None):
    """The exact log p(token n | tokens before it).

    Args:
      params: parameters of the network.
      extra: the second result of `init`.
      ids: (B, N) int32.
      dropout_key: scalar or (B,) keys; None switches dropout off.

    Returns:
      (B, N) nats; the sum over N is log p of the grid.
    """
    logits: Any = self.network.apply(
      {"params": params["network"]}, self._inputs(extra, ids), dropout_key
    )
    return video_gpt.log_likelihood(logits, ids)

  def sample_ids(self, params, extra, *, key, num):
    """See `token_prior.TokenPrior.sample_ids`."""

    def step(cache, previous, position):
      return self.network.apply(
        {"params": params["network"]},
        cache,
        self._inputs(extra, previous),
        position,
        method="step",
      )

    return sampler_functions.sample(
      step,
      video_gpt.grow_cache,
      self.network.empty_cache(num),
      num=num,
      length=self.num_tokens,
      key=keys.example_keys(key, num),
      sampler=self.sampler,
    )

  def _inputs(self, extra, ids: jax.Array) -> jax.Array:
    """The network's inputs for ids (...)."""
    if self.model.embedding == "learned":
      return ids
    coder = self.trained(extra)
    return coder.task.vectors(coder.params, coder.extra, ids)

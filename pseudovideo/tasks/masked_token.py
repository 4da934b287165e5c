"""MaskGit and Phenaki, which predict all masked tokens at once.

The loss is the cross-entropy of masked tokens; samples are decoded in a few
passes that mask the least certain tokens again (Sec. 3.2). With the tokens of
single images it is the image model.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from pseudovideo import compiling, keys
from pseudovideo.fields import NotNegative, Share
from pseudovideo.losses import masked_tokens
from pseudovideo.models import maskgit
from pseudovideo.samplers import masked
from pseudovideo.tasks import base, token_prior


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskedToken(token_prior.TokenPrior):
  """Task `masked_token`; see `token_prior.TokenPrior`.

  Attributes:
    model: the network.
    masking: how many tokens are masked in training.
    sampler: how samples are decoded; may change after training.
    smoothing: smoothing of the labels, in [0, 1); 0.1 in MaskGit.
    critic: judges which drawn tokens are wrong, and so which are masked again:
      `none`: the network's own probabilities; `separate`: a network of the same
      size; `shared`: a linear layer on the same network. Unlike in
      phenaki-pytorch it is trained together with the network.
    critic_weight: weight of the critic's loss.
  """

  model: maskgit.MaskGit
  masking: masked_tokens.Masking
  sampler: masked.Decoding
  smoothing: Share = 0.0
  critic: Literal["none", "separate", "shared"] = "none"
  critic_weight: NotNegative = 1.0

  @property
  def network_evaluations(self) -> int:
    """Passes of the network and of the critic, which skips the last pass."""
    passes = self.sampler.steps
    return passes if self.critic == "none" else 2 * passes - 1

  def check(self) -> None:
    """See `base.Task.check`."""
    super().check()
    self.network.check(self.coder.grid_shape, self.coder.num_codes)

  def init_params(self, key):
    """See `token_prior.TokenPrior.init_params`; a critic's are in `critic`."""
    ids = jnp.zeros((1, self.num_tokens), jnp.int32)
    network, (own, apart) = self.network, jax.random.split(key)
    method = "logits_and_scores" if self.critic == "shared" else "__call__"
    params = {"network": _init(network, own, ids, method)}
    if self.critic == "separate":
      params["critic"] = _init(network.critic(), apart, ids, "scores")
    return params

  def loss(self, params, extra, batch, *, key, step, train):
    """See `base.Task.loss`.

    Terms: `nll`, -log p of a masked token in nats, a mean over all masked
      tokens of the batch (labels are smoothed in training only). With a critic
      also `critic`, its binary cross-entropy on tokens that the network drew,
      and `wrong`, the share of all tokens that these draws got wrong.
    """
    del step
    key, ids = token_prior.batch_keys(batch, key), token_prior.flat_ids(batch)
    hidden = self.masking.draw(len(ids), self.num_tokens, key=key)
    logits = self._logits(params, jnp.where(hidden, self.coder.num_codes, ids))
    nll, weight = masked_tokens.cross_entropy(
      logits, ids, hidden, smoothing=self.smoothing if train else 0.0
    )
    terms = {"nll": base.Term(nll, weight)}
    if self.critic != "none":
      drawn = masked.draw(logits, 1.0, key=keys.named(key, "drawn"))
      drawn = jnp.where(hidden, drawn, ids)
      wrong = drawn != ids
      value = masked_tokens.critic(self._scores(params, drawn), wrong)
      terms["critic"] = base.mean_term(value, self.critic_weight)
      share = jnp.mean(wrong.astype(jnp.float32), axis=1)
      terms["wrong"] = base.mean_term(share, 0)
    return terms, extra

  def sample_ids(self, params, extra, *, key, num):
    """See `token_prior.TokenPrior.sample_ids`."""
    del extra
    scores = None
    if self.critic != "none":

      def scores(ids):
        return self._scores(params, ids)

    return masked.sample(
      lambda ids: self._logits(params, ids),
      self.sampler,
      key=key,
      num=num,
      tokens=self.num_tokens,
      codes=self.coder.num_codes,
      critic=scores,
    )

  def _logits(self, params, ids):
    return self.network.apply({"params": params["network"]}, ids)

  def _scores(self, params, ids):
    """The critic's logits of ids (B, N) being wrong, (B, N)."""
    network, weights = self.network, params["network"]
    if self.critic == "separate":
      network, weights = network.critic(), params["critic"]
    return network.apply({"params": weights}, ids, method="scores")


def _init(network, key, ids, method) -> base.Params:
  make = compiling.once(lambda key: network.init(key, ids, method=method))
  return make(key)["params"]

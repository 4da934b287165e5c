"""Decoding of masked tokens, many at a time: MaskGit and Phenaki.

All tokens are masked at first. Each pass of the network predicts all masked
tokens; the least certain of them are masked again, fewer from pass to pass
(Chang et al. 2022, Sec. 3.2). With a critic (Lezama et al. 2022) tokens of
earlier passes can be masked again too.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Array, Bool, Float, Float32, Float64, Int, Int32

from pseudovideo import keys
from pseudovideo.losses import masked_tokens
from pseudovideo.samplers import tokens as token_functions

NoiseScale = Annotated[float, Ge(0), Le(1e6)]
"""Noise times more may be infinite."""
LogitsFn = Callable[[Int32[Array, "B N"]], Float[Array, "B N K"]]
CriticFn = Callable[[Int32[Array, "B N"]], Float[Array, "B N"]]


@dataclasses.dataclass(frozen=True)
class Decoding:
  """A decoding in S passes s = 0 .. S - 1; `left` is (S - 1 - s) / S.

  Attributes:
    rule: `phenaki`: the counts of masked tokens are rounded, and tokens are
      drawn at `temperature` times `left`, so that the last pass takes the most
      probable tokens. `maskgit`: counts are rounded down, each less than the
      count before, and tokens are drawn at `temperature` in all passes.
    steps: S, evaluations of the network.
    temperature: temperature at which a token is drawn among all codes; 0 takes
      the most probable code.
    choice_temperature: noise in the choice of the tokens that stay, by their
      log probability at temperature 1 plus this number times `left` times
      Gumbel noise. 0 keeps the most probable tokens. Not read with a critic.
    critic_noise: the critic's scores get uniform noise of mean 0 and a range of
      `critic_noise` times `left`. Read with a critic only.
  """

  rule: Literal["phenaki", "maskgit"] = "phenaki"
  steps: masked_tokens.Passes = 18
  temperature: NoiseScale = 0.9
  choice_temperature: NoiseScale = 0.0
  critic_noise: NoiseScale = 1.0

  def counts(self, tokens: int) -> Int32[np.ndarray, " S"]:
    """The numbers of masked tokens, of N, before each pass."""
    if self.rule == "phenaki":
      return masked_tokens.rounded_counts(tokens, self.steps)
    return masked_tokens.floored_counts(tokens, self.steps)

  def left(self) -> Float64[np.ndarray, " S"]:
    """The share (S - 1 - s) / S of passes that follow each pass."""
    return np.arange(self.steps - 1, -1, -1) / self.steps

  def temperatures(self) -> Float64[np.ndarray, " S"]:
    """The temperature at which the tokens of each pass are drawn."""
    if self.rule == "phenaki":
      return self.temperature * self.left()
    return np.full(self.steps, self.temperature, np.float64)


PRESETS = {
  "phenaki": Decoding(),
  "maskgit": Decoding("maskgit", 12, 1.0, 4.5),
}


def sample(
  logits: LogitsFn,
  decoding: Decoding,
  *,
  key: jax.Array,
  num: int,
  tokens: int,
  codes: int,
  critic: CriticFn | None = None,
) -> Int32[Array, "num N"]:
  """Draws the tokens after the last pass; arguments as in `trajectory`."""
  return trajectory(
    logits,
    decoding,
    key=key,
    num=num,
    tokens=tokens,
    codes=codes,
    critic=critic,
  )[:, -1]


def trajectory(
  logits: LogitsFn,
  decoding: Decoding,
  *,
  key: jax.Array,
  num: int,
  tokens: int,
  codes: int,
  critic: CriticFn | None = None,
) -> Int32[Array, "num {decoding.steps}+1 N"]:
  """Draws the tokens before each pass, and after the last.

  Without a critic a token that is not masked stays as it is.

  Args:
    logits: network from tokens in 0 .. K, K being the mask, to scores.
    decoding: passes, temperatures, counts.
    key: scalar or (num,) keys; sample i depends on key i only.
    num: B.
    tokens: N.
    codes: K.
    critic: network from tokens in 0 .. K - 1 to scores, larger where a token
      is more likely wrong. It is not evaluated in the last pass.
  """
  key = keys.example_keys(key, num)
  counts = decoding.counts(tokens)
  masked_after = np.append(counts[1:], 0).astype(np.int32)

  def step(x, this):
    index, temperature, left, count = this
    rows = keys.numbered(key, index)
    masked = x == codes
    all_logits = logits(x).astype(jnp.float32)
    drawn = draw(all_logits, temperature, key=keys.named(rows, "tokens"))
    x = jnp.where(masked, drawn, x)
    if critic is None:
      scale = decoding.choice_temperature * left
      certainty = _probable(all_logits, x, decoding, scale, rows)
      certainty = jnp.where(masked, certainty, jnp.inf)
    else:
      scale = decoding.critic_noise * left
      certainty = _trusted(critic, x, count > 0, scale, rows)
    again = masked_tokens.smallest(certainty, jnp.full((num,), count))
    x = jnp.where(again, codes, x)
    return x, x

  start = jnp.full((num, tokens), codes, jnp.int32)
  passes = (
    jnp.arange(decoding.steps),
    jnp.asarray(decoding.temperatures(), jnp.float32),
    jnp.asarray(decoding.left(), jnp.float32),
    jnp.asarray(masked_after),
  )
  _, states = jax.lax.scan(step, start, passes)
  # (S + 1, num, N).
  states = jnp.concatenate([start[None], states])
  return jnp.moveaxis(states, 0, 1)


def _probable(
  logits: Float32[Array, "B N K"],
  ids: Int32[Array, "B N"],
  decoding: Decoding,
  scale: Float32[Array, ""],
  key: keys.Keys,
) -> Float32[Array, "B N"]:
  """The certainty of tokens without a critic: log p and Gumbel noise."""
  certainty = _log_probability(logits, ids)
  if decoding.choice_temperature:
    certainty += scale * _gumbel(keys.named(key, "choice"), ids.shape)
  return certainty


def _trusted(
  critic: CriticFn,
  ids: Int32[Array, "B N"],
  needed: Bool[Array, ""],
  scale: Float32[Array, ""],
  key: keys.Keys,
) -> Float32[Array, "B N"]:
  """The certainty of tokens by a critic, asked if `needed`, and noise."""
  certainty = jax.lax.cond(
    needed,
    lambda x: -critic(x).astype(jnp.float32),
    lambda x: jnp.zeros(x.shape),
    ids,
  )
  noise = keys.uniform(keys.named(key, "critic"), ids.shape) - 0.5
  return certainty + scale * noise


def draw(
  logits: Float[Array, "B N K"],
  temperature: Float[Array, ""] | float,
  *,
  key: keys.Keys,
) -> Int32[Array, "B N"]:
  """Draws codes in 0 .. K - 1, by softmax(logits / temperature).

  Args:
    logits: scores of all codes.
    temperature: at 0 the most probable code is taken.
    key: scalar or (B,) keys.

  Returns:
    Codes, `tokens.NO_TOKEN` where the logits have NaN or a largest one that is
    not finite.
  """
  # The largest of logits + Gumbel noise has the probabilities of the softmax.
  noisy = logits + temperature * _gumbel(key, logits.shape)
  return token_functions.known(jnp.argmax(noisy, axis=-1), logits)


def _gumbel(key: keys.Keys, shape: tuple[int, ...]) -> Float32[Array, "B ..."]:
  """Standard Gumbel noise, always finite."""
  u = keys.uniform(key, shape)
  return -jnp.log(-jnp.log(jnp.maximum(u, jnp.finfo(jnp.float32).tiny)))


def _log_probability(
  logits: Float[Array, "B N K"], ids: Int[Array, "B N"]
) -> Float[Array, "B N"]:
  """The log probability of each id; arbitrary where an id is K."""
  ids = jnp.minimum(ids, logits.shape[-1] - 1)
  log_p = jax.nn.log_softmax(logits, axis=-1)
  return jnp.take_along_axis(log_p, ids[..., None], axis=-1)[..., 0]

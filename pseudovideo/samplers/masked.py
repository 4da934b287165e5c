"""Decoding of masked tokens, many at a time: MaskGit and Phenaki.

All tokens are masked at first. Each pass of the network names all that are
masked; the least certain of them are masked again, fewer from pass to pass
(Chang et al. 2022, Sec. 3.2). With a critic (Lezama et al. 2022) tokens of
earlier passes can be masked again too.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors, keys
from pseudovideo.losses import masked_tokens

RULES = ("phenaki", "maskgit")
TokensFn = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Decoding:
  """S passes s = 0 .. S - 1; `left`, (S - 1 - s) / S, falls to 0.

  Attributes:
    rule: `phenaki`: the counts of masked tokens are rounded, and tokens are
      drawn at `temperature` times `left`, so that the last pass takes the most
      probable. `maskgit`: counts are rounded down, each less than the one
      before, and tokens are drawn at `temperature` in all passes.
    steps: S, evaluations of the network.
    temperature: of drawing a token among all codes; 0 takes the most probable.
    choice_temperature: of the choice which tokens stay: their log probability
      at temperature 1 plus this times `left` times Gumbel noise decides. 0
      keeps the most probable ones. Not read with a critic.
    critic_noise: the critic's scores get uniform noise of mean 0 and a range of
      this times `left`. Read with a critic only.
  """

  rule: str = "phenaki"
  steps: int = 18
  temperature: float = 0.9
  choice_temperature: float = 0.0
  critic_noise: float = 1.0

  def check(self) -> None:
    """Raises `UserError` for fields that cannot work."""
    if self.rule not in RULES:
      raise errors.unknown("sampler.rule", self.rule, RULES)
    if not 1 <= self.steps <= masked_tokens.MAX_STEPS:
      raise errors.UserError(
        "sampler.steps must be at least 1 and at most "
        f"{masked_tokens.MAX_STEPS}; got {self.steps}."
      )
    for name in ("temperature", "choice_temperature", "critic_noise"):
      # Noise times more may be infinite.
      if not 0 <= getattr(self, name) <= 1e6:
        raise errors.UserError(
          f"sampler.{name} must be between 0 and 1e6; got "
          f"{getattr(self, name)}."
        )

  def counts(self, tokens: int) -> np.ndarray:
    """How many of N tokens are masked before each pass, (S,) int32."""
    if self.rule == "phenaki":
      return masked_tokens.rounded_counts(tokens, self.steps)
    return masked_tokens.floored_counts(tokens, self.steps)

  def left(self) -> np.ndarray:
    """(S - 1 - s) / S, (S,) float64."""
    return np.arange(self.steps - 1, -1, -1) / self.steps

  def temperatures(self) -> np.ndarray:
    """At which the tokens of each pass are drawn, (S,) float64."""
    if self.rule == "phenaki":
      return self.temperature * self.left()
    return np.full(self.steps, self.temperature, np.float64)


PRESETS = {
  "phenaki": Decoding(),
  "maskgit": Decoding("maskgit", 12, 1.0, 4.5),
}


def sample(
  logits: TokensFn,
  decoding: Decoding,
  *,
  key: jax.Array,
  num: int,
  tokens: int,
  codes: int,
  critic: TokensFn | None = None,
) -> jax.Array:
  """(num, N) int32 ids in 0 .. K - 1; arguments as of `trajectory`."""
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
  logits: TokensFn,
  decoding: Decoding,
  *,
  key: jax.Array,
  num: int,
  tokens: int,
  codes: int,
  critic: TokensFn | None = None,
) -> jax.Array:
  """Tokens before each pass, and after the last.

  Without a critic a token that is not masked stays as it is.

  Args:
    logits: (B, N) int32 in 0 .. K, K being the mask -> (B, N, K).
    decoding: passes, temperatures, counts.
    key: scalar or (num,) keys; sample i depends on key i only.
    num: B.
    tokens: N.
    codes: K.
    critic: (B, N) int32 in 0 .. K - 1 -> (B, N), larger where a token is more
      likely wrong. It is not evaluated in the last pass.

  Returns:
    (num, S + 1, N) int32.
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
      certainty = _log_probability(all_logits, x)
      if decoding.choice_temperature:
        noise = _gumbel(keys.named(rows, "choice"), x.shape)
        certainty += decoding.choice_temperature * left * noise
      certainty = jnp.where(masked, certainty, jnp.inf)
    else:
      certainty = jax.lax.cond(
        count > 0,
        lambda x: -critic(x).astype(jnp.float32),
        lambda x: jnp.zeros(x.shape),
        x,
      )
      noise = keys.uniform(keys.named(rows, "critic"), x.shape) - 0.5
      certainty += decoding.critic_noise * left * noise
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
  states = jnp.concatenate([start[None], states])
  return jnp.moveaxis(states, 0, 1)


def draw(
  logits: jax.Array, temperature: jax.Array | float, *, key: jax.Array
) -> jax.Array:
  """Codes with probabilities softmax(logits / temperature).

  Args:
    logits: (B, N, K).
    temperature: scalar; at 0 the most probable code is taken.
    key: scalar or (B,) keys.

  Returns:
    (B, N) int32 in 0 .. K - 1.
  """
  noisy = logits + temperature * _gumbel(key, logits.shape)
  return jnp.argmax(noisy, axis=-1).astype(jnp.int32)


def _gumbel(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Standard Gumbel float32, always finite."""
  u = keys.uniform(key, shape)
  return -jnp.log(-jnp.log(jnp.maximum(u, jnp.finfo(jnp.float32).tiny)))


def _log_probability(logits: jax.Array, ids: jax.Array) -> jax.Array:
  """Of ids (B, N) under logits (B, N, K); arbitrary where an id is K."""
  ids = jnp.minimum(ids, logits.shape[-1] - 1)
  log_p = jax.nn.log_softmax(logits, axis=-1)
  return jnp.take_along_axis(log_p, ids[..., None], axis=-1)[..., 0]

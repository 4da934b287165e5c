"""Draws tokens one after another, by a function for the next token's logits.

Attention to a cache costs time for its whole length, filled or not, and arrays
in a compiled loop cannot grow. The N steps are therefore cut into S segments of
nearly equal length, each a loop of its own over a cache that is just long
enough for its last step. A step then attends to N (S + 1) / (2 S) places on
average: N for one segment, 0.56 N for eight, N / 2 at best. The price is one
body to compile for each segment, and S copies of the cache, which take as long
as a few steps.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Float, Int, Int32

from pseudovideo import errors, keys
from pseudovideo.fields import NotNegativeInt

Temperature = Annotated[float, Ge(0), Le(1e6)]
# Logits divided by less, or noise times more, may be infinite.
_LEAST_TEMPERATURE = 1e-6
NO_TOKEN = -1
"""The id where nothing can be chosen, whose video is NaN."""
Cache = Any
Step = Callable[
  [Cache, Int32[Array, " B"], Int32[Array, ""]],
  tuple[Float[Array, "B K"], Cache],
]
Grow = Callable[[Cache, int], Cache]


@dataclasses.dataclass(frozen=True)
class TokenSampler:
  """Section `sampler` of models of the next token; a run may take another.

  Attributes:
    temperature: divisor of the logits; 0 takes the most likely token.
    top_k: number of the most likely tokens that can be drawn; 0 for all.
    top_p: only the most likely tokens can be drawn, no more than are needed for
      this probability in sum (Holtzman et al. 2020); 1 for all. It applies
      after `temperature` and `top_k`.
  """

  temperature: Temperature = 1.0
  top_k: NotNegativeInt = 0
  top_p: Annotated[float, Gt(0), Le(1)] = 1.0

  def check(self, codes: int) -> None:
    """Raises `UserError` for fields that do not fit `codes` tokens."""
    if 0 < self.temperature < _LEAST_TEMPERATURE:
      raise errors.UserError(
        f"sampler.temperature must be 0, or at least {_LEAST_TEMPERATURE:g}; "
        f"got {self.temperature}."
      )
    if self.top_k > codes:
      raise errors.UserError(
        f"sampler.top_k must be at most the {codes} codes, or 0 for all of "
        f"them; got {self.top_k}."
      )


def truncate(
  logits: Float[Array, "B K"], top_k: int, top_p: float
) -> Float[Array, "B K"]:
  """The logits, -inf for the tokens that cannot be drawn; see `TokenSampler`.

  Tokens that are exactly as likely as the last one kept are kept as well.

  Args:
    logits: scores of all tokens.
    top_k: in 0 .. K.
    top_p: in (0, 1].
  """
  if top_k:
    least = jax.lax.top_k(logits, top_k)[0][:, -1:]
    logits = jnp.where(logits >= least, logits, -jnp.inf)
  if top_p < 1:
    p = jax.nn.softmax(logits, axis=-1)
    falling = jnp.sort(p, axis=-1, descending=True)
    # Tokens before which the sum has not yet reached top_p, (B, K).
    needed = jnp.cumsum(falling, axis=-1) - falling < top_p
    least = jnp.min(jnp.where(needed, falling, 1), axis=-1, keepdims=True)
    logits = jnp.where(p >= least, logits, -jnp.inf)
  return logits


def draw(
  logits: Float[Array, "B K"], sampler: TokenSampler, key: keys.Keys
) -> Int32[Array, " B"]:
  """Draws one token in 0 .. K - 1 per row, from its logits and key only.

  Args:
    logits: scores of all tokens.
    sampler: temperature and truncation.
    key: scalar or (B,) keys.

  Returns:
    Tokens, `NO_TOKEN` where the logits have NaN or a largest one that is not
    finite.
  """
  if sampler.temperature == 0:
    return known(jnp.argmax(logits, axis=-1), logits)
  cut = truncate(logits / sampler.temperature, sampler.top_k, sampler.top_p)
  rows = keys.example_keys(key, logits.shape[0])
  return known(jax.vmap(jax.random.categorical)(rows, cut), logits)


def known(
  ids: Int[Array, "*places"], logits: Float[Array, "*places K"]
) -> Int32[Array, "*places"]:
  """The ids; `NO_TOKEN` where the scores that chose them are not finite."""
  good = jnp.isfinite(jnp.max(logits, axis=-1))
  return jnp.where(good, ids, NO_TOKEN).astype(jnp.int32)


def sample(
  step: Step,
  grow: Grow,
  cache: Cache,
  *,
  num: int,
  length: int,
  key: keys.Keys,
  sampler: TokenSampler = TokenSampler(),
  segments: int = 8,
) -> Int32[Array, "num N"]:
  """Draws sequences token by token; call it under `jax.jit`.

  Args:
    step: takes a cache, the tokens before and a position; returns logits and
      the cache. At position 0 the tokens before are 0 and mean nothing.
    grow: takes a cache and a length, returns the cache with room for so many
      positions.
    cache: a cache with room for no position.
    num: B, number of rows.
    length: N, positions are 0 .. N - 1.
    key: scalar or (B,) keys.
    sampler: temperature and truncation.
    segments: S, at most; see the module.

  Returns:
    Tokens; row i depends on key i only.
  """
  rows = keys.example_keys(key, num)

  def one(carry, position):
    cache, previous = carry
    logits, cache = step(cache, previous, position)
    ids = draw(logits, sampler, keys.numbered(rows, position))
    return (cache, ids), ids

  previous, parts = jnp.zeros(num, jnp.int32), []
  for start, stop in itertools.pairwise(bounds(length, segments)):
    (cache, previous), ids = jax.lax.scan(
      one, (grow(cache, stop), previous), jnp.arange(start, stop)
    )
    parts.append(ids)
  return jnp.concatenate(parts).T  # (N, B) -> (B, N).


def bounds(length: int, segments: int) -> list[int]:
  """0, ..., length: where segments of nearly equal length begin and end."""
  segments = min(segments, length)
  return [length * i // segments for i in range(segments + 1)]

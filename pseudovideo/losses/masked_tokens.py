"""Losses of masked token models: MaskGit (Chang et al. 2022), Phenaki.

Some tokens of a grid are masked, how many being drawn anew for each grid, and
the network is to name them. A critic learns which of the tokens that the
network drew are wrong (Lezama et al. 2022).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors, keys
from pseudovideo.losses import bernoulli

SCHEDULES = ("phenaki", "maskgit")
MAX_STEPS = 10_000
# Far above the rounding of cosines, far below what else parts them from
# integers: products that are whole or half by theory count as such.
_SLACK = 1e-9


def cosine_fractions(steps: int) -> np.ndarray:
  """cos(pi/2 r/S) for r = 0 .. S - 1, (S,) float64."""
  return np.cos(np.pi / 2 * np.arange(steps) / steps)


def rounded_counts(tokens: int, steps: int) -> np.ndarray:
  """max(1, N cos(pi/2 r/S) rounded, halves up) for r = 0 .. S - 1, (S,) int32.

  How many of N tokens Phenaki masks, in training and in decoding alike.
  """
  counts = np.floor(tokens * cosine_fractions(steps) + 0.5 + _SLACK)
  return np.maximum(1, counts).astype(np.int32)


def floored_counts(tokens: int, steps: int) -> np.ndarray:
  """As `rounded_counts`, but rounded down, each less than the one before.

  MaskGit's in decoding: r-th is clamped to 1 .. (r-1)-th - 1, and 1 follows 1.
  """
  counts = np.floor(tokens * cosine_fractions(steps) + _SLACK)
  for r in range(1, steps):
    counts[r] = max(1, min(counts[r], counts[r - 1] - 1))
  return counts.astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Masking:
  """How many tokens are masked in training; which ones is left to chance.

  Attributes:
    schedule: `phenaki`: `rounded_counts` of r, uniform on 0 .. S - 1.
      `maskgit`: N cos(pi/2 u), rounded up, u uniform on [0, 1).
    steps: S, the passes of the decoder; of `phenaki` only.
  """

  schedule: str = "phenaki"
  steps: int = 18

  def check(self) -> None:
    """Raises `UserError` for fields that cannot work."""
    if self.schedule not in SCHEDULES:
      raise errors.unknown("masking.schedule", self.schedule, SCHEDULES)
    if not 1 <= self.steps <= MAX_STEPS:
      raise errors.UserError(
        f"masking.steps must be at least 1 and at most {MAX_STEPS}; got "
        f"{self.steps}."
      )

  def draw(self, num: int, tokens: int, *, key: jax.Array) -> jax.Array:
    """(num, tokens) bool, True where masked; row i drawn from key i.

    Args:
      num: B.
      tokens: N.
      key: scalar or (B,) keys.
    """
    key = keys.example_keys(key, num)
    count = self._counts(num, tokens, keys.named(key, "mask_count"))
    noise = keys.uniform(keys.named(key, "mask_places"), (num, tokens))
    return smallest(noise, count)

  def _counts(self, num, tokens, key):
    if self.schedule == "phenaki":
      table = jnp.asarray(rounded_counts(tokens, self.steps))
      return table[keys.integers(key, num, 0, self.steps)]
    u = keys.uniform(key, (num,))
    counts = jnp.ceil(tokens * jnp.cos(jnp.pi / 2 * u)).astype(jnp.int32)
    return jnp.clip(counts, 1, tokens)


def smallest(x: jax.Array, count: jax.Array) -> jax.Array:
  """(B, N), (B,) -> (B, N) bool: the `count` smallest of each row.

  Of equal numbers the first are smaller.
  """
  rank = jnp.argsort(jnp.argsort(x, axis=1), axis=1)
  return rank < count[:, None]


def cross_entropy(
  logits: jax.Array,
  ids: jax.Array,
  masked: jax.Array,
  *,
  smoothing: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
  """-log p of the true codes at masked places, in nats.

  sum(value * weight) / sum(weight) over a batch is the mean over all of its
  masked tokens.

  Args:
    logits: (B, N, K).
    ids: (B, N) integers, the true codes.
    masked: (B, N) bool.
    smoothing: e in [0, 1): the target has 1 - e at the true code and e / K at
      all codes; 0.1 in MaskGit.

  Returns:
    The mean over the masked tokens of an example, (B,), 0 if there are none;
    and their number, (B,).
  """
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
  chosen = jnp.take_along_axis(log_p, ids[..., None].astype(jnp.int32), axis=-1)
  nll = -chosen[..., 0]
  if smoothing:
    nll = (1 - smoothing) * nll - smoothing * jnp.mean(log_p, axis=-1)
  weight = jnp.sum(masked, axis=1).astype(jnp.float32)
  total = jnp.sum(jnp.where(masked, nll, 0), axis=1)
  return total / jnp.maximum(weight, 1), weight


def critic(scores: jax.Array, wrong: jax.Array) -> jax.Array:
  """The critic's binary cross-entropy, a mean over all tokens, in nats.

  Args:
    scores: (B, N) logits of a token being wrong.
    wrong: (B, N) bool, where the tokens that it saw are not the true ones.

  Returns:
    (B,).
  """
  nll = bernoulli.negative_log_likelihood(scores, wrong.astype(jnp.float32))
  return nll / scores.shape[1]

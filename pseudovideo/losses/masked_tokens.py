"""Losses of masked token models: MaskGit (Chang et al. 2022), Phenaki.

Some tokens of a grid are masked, a number that is drawn anew for each grid, and
the network predicts them. A critic learns which of the tokens that the network
drew are wrong (Lezama et al. 2022).
"""

import dataclasses
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Array, Bool, Float, Float32, Float64, Int, Int32, Integer

from pseudovideo import keys
from pseudovideo.losses import bernoulli
from pseudovideo.shapes import AnyArray

Passes = Annotated[int, Ge(1), Le(10_000)]
# Far above the rounding of cosines, and far below the other distances to whole
# and half numbers: products that are whole or half in theory count as such.
_SLACK = 1e-9


def cosine_fractions(steps: int) -> Float64[np.ndarray, " S"]:
  """The fractions cos(pi/2 r/S) for r = 0 .. S - 1."""
  return np.cos(np.pi / 2 * np.arange(steps) / steps)


def rounded_counts(tokens: int, steps: int) -> Int32[np.ndarray, " S"]:
  """The numbers max(1, round(N cos(pi/2 r/S))) for r = 0 .. S - 1.

  Phenaki masks so many of N tokens, in training and in decoding. Halves are
  rounded up.
  """
  counts = np.floor(tokens * cosine_fractions(steps) + 0.5 + _SLACK)
  return np.maximum(1, counts).astype(np.int32)


def floored_counts(tokens: int, steps: int) -> Int32[np.ndarray, " S"]:
  """The numbers N cos(pi/2 r/S) rounded down, each less than the one before.

  MaskGit masks so many tokens in decoding. The r-th number is clamped to 1 ..
  (r-1)-th - 1, and after a 1 all are 1.
  """
  counts = np.floor(tokens * cosine_fractions(steps) + _SLACK)
  for r in range(1, steps):
    counts[r] = max(1, min(counts[r], counts[r - 1] - 1))
  return counts.astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Masking:
  """The number of tokens that are masked in training; chance picks them.

  Attributes:
    schedule: `phenaki`: `rounded_counts` of r, uniform on 0 .. S - 1;
      `maskgit`: N cos(pi/2 u), rounded up, u uniform on [0, 1).
    steps: S, the passes of the decoder; for `phenaki` only.
  """

  schedule: Literal["phenaki", "maskgit"] = "phenaki"
  steps: Passes = 18

  def draw(
    self, num: int, tokens: int, *, key: keys.Keys
  ) -> Bool[Array, "B N"]:
    """Masks, True where a token is masked; row i drawn from key i.

    Args:
      num: B.
      tokens: N.
      key: scalar or (B,) keys.
    """
    key = keys.example_keys(key, num)
    count = self._counts(num, tokens, keys.named(key, "mask_count"))
    noise = keys.uniform(keys.named(key, "mask_places"), (num, tokens))
    return smallest(noise, count)

  def _counts(
    self, num: int, tokens: int, key: keys.Keys
  ) -> Int32[Array, " B"]:
    if self.schedule == "phenaki":
      table = jnp.asarray(rounded_counts(tokens, self.steps))
      return table[keys.integers(key, num, 0, self.steps)]
    u = keys.uniform(key, (num,))
    counts = jnp.ceil(tokens * jnp.cos(jnp.pi / 2 * u)).astype(jnp.int32)
    return jnp.clip(counts, 1, tokens)


def smallest(
  x: Float[Array, "B N"], count: Int[Array, " B"]
) -> Bool[Array, "B N"]:
  """Marks the `count` smallest of each row; of equal numbers the first ones."""
  # The first argsort lists places by rank, the second ranks by place.
  rank = jnp.argsort(jnp.argsort(x, axis=1), axis=1)
  return rank < count[:, None]


def cross_entropy(
  logits: Float[Array, "B N K"],
  ids: Integer[AnyArray, "B N"],
  masked: Bool[AnyArray, "B N"],
  *,
  smoothing: float = 0.0,
) -> tuple[Float32[Array, " B"], Float32[Array, " B"]]:
  """The cost -log p of the true codes at masked places, in nats.

  sum(value * weight) / sum(weight) over a batch is the mean over all of its
  masked tokens.

  Args:
    logits: scores of all codes.
    ids: the true codes.
    masked: True where a token is masked.
    smoothing: e in [0, 1): the target has 1 - e at the true code and e / K at
      all codes; 0.1 in MaskGit.

  Returns:
    The mean over the masked tokens of an example, 0 if there are none; and
    their number.
  """
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
  # (B, N, K) -> (B, N, 1), the entry of the true code.
  chosen = jnp.take_along_axis(log_p, ids[..., None].astype(jnp.int32), axis=-1)
  nll = -chosen[..., 0]
  if smoothing:
    nll = (1 - smoothing) * nll - smoothing * jnp.mean(log_p, axis=-1)
  weight = jnp.sum(masked, axis=1).astype(jnp.float32)
  total = jnp.sum(jnp.where(masked, nll, 0), axis=1)
  return total / jnp.maximum(weight, 1), weight


def critic(
  scores: Float[Array, "B N"], wrong: Bool[Array, "B N"]
) -> Float[Array, " B"]:
  """The critic's binary cross-entropy, a mean over all tokens, in nats.

  Args:
    scores: logits of a token being wrong.
    wrong: True where the token that the critic saw is not the true one.
  """
  nll = bernoulli.negative_log_likelihood(scores, wrong.astype(jnp.float32))
  return nll / scores.shape[1]

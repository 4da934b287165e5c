r"""Inception score (Salimans et al. 2016).

  IS = exp( mean_x KL( p(y | x) || mean_x p(y | x) ) ),

between 1 and the number of classes K. With a classifier other than Inception
it is named after that classifier, and it means something only beside the score
of real data. It is biased downwards by about C / n for splits of n samples,
so that only scores over splits of one size can be compared (Chong and Forsyth
2020; see `extrapolation`).
"""

import itertools

import numpy as np
from jaxtyping import Float

from pseudovideo import errors


def inception_score(
  logits: Float[np.ndarray, "N K"], *, splits: int = 10, seed: int = 0
) -> tuple[float, float]:
  """Mean and spread of the score over `splits` equal parts of the samples.

  Args:
    logits: (N, K) finite unnormalised log probabilities.
    splits: number of parts, 1 .. N; bounds are floor(i N / splits). More
      parts have fewer samples each and score lower.
    seed: seed of numpy's default generator, which orders the samples before
      they are cut into parts.

  Returns:
    Mean and standard deviation (ddof 0) over the parts, in float64.

  Raises:
    UserError: fewer samples than splits, no split, or logits not finite.
  """
  num = len(logits)
  if not 1 <= splits <= num:
    raise errors.UserError(
      f"An inception score over {splits} splits of {num} samples is "
      "undefined; use at least one split and at least one sample per split."
    )
  if not np.isfinite(logits).all():
    raise errors.UserError(
      "The inception score was given logits that are NaN or infinite; check "
      "that the images come from finite network outputs."
    )
  order = np.random.default_rng(seed).permutation(num)
  bounds = [i * num // splits for i in range(splits + 1)]
  scores = [
    _score(logits[order[start:end]])
    for start, end in itertools.pairwise(bounds)
  ]
  return float(np.mean(scores)), float(np.std(scores))


def _score(logits: np.ndarray) -> float:
  """(N, K) logits -> the score of these samples as one part."""
  log_probs = logits.astype(np.float64)
  log_probs -= log_probs.max(1, keepdims=True)
  log_probs -= np.log(np.exp(log_probs).sum(1, keepdims=True))
  probs = np.exp(log_probs)
  # A class that no sample has contributes 0 log 0 = 0.
  log_marginal = np.log(np.maximum(probs.mean(0), np.finfo(np.float64).tiny))
  divergence = (probs * (log_probs - log_marginal)).sum(1)
  return np.exp(divergence.mean())

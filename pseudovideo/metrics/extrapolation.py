r"""Scores extrapolated to infinitely many samples (Chong and Forsyth 2020).

The Frechet distance and the inception score of N samples are biased by about
C / N, where C depends on the generator: neither scores of different N nor, in
principle, scores of one N rank generators as their distributions would. The
score is computed at several N, a line s_0 + C / N is fitted, and its intercept
s_0 is the score of the distribution ("FID infinity", section 4 of the paper).

A line fits only where every N is well above the dimension of the features;
below it the covariance is singular and higher powers of 1 / N matter.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float64, Int

from pseudovideo import errors
from pseudovideo.metrics import frechet, inception_score, statistics

POINTS = 15
"""Scores that a line is drawn through."""

LEAST = 10 * POINTS
"""Samples that an extrapolation through `POINTS` scores needs."""


@dataclasses.dataclass(frozen=True, eq=False)
class Extrapolated:
  """A score in the limit of infinitely many samples.

  Attributes:
    value: the intercept s_0. It may lie below the least value of the score by
      its error, and is not clipped.
    standard_error: standard error of the intercept by ordinary least squares, s
      sqrt(1 / P + x^2 / S) with the P abscissas 1 / N, their mean x, their
      scatter S about it, and s^2 the squared residuals over P - 2. It takes the
      scores for independent. They are not: all subsets come from the same
      samples, whose own spread it misses. So it is optimistic, on Gaussian
      samples about half of the true error.
    slope: C, the bias times the number of samples.
    counts: (P,) numbers of samples N, ascending.
    scores: (P,) the score at each.
  """

  value: float
  standard_error: float
  slope: float
  counts: Int[np.ndarray, " P"]
  scores: Float64[np.ndarray, " P"]


def frechet_at_infinity(
  features: Float[np.ndarray, "N D"],
  reference: statistics.Moments,
  *,
  points: int = POINTS,
  seed: int = 0,
) -> Extrapolated:
  """The Frechet distance from `reference` in the limit of many samples.

  The bias of the reference's own samples stays. Each point costs an
  eigendecomposition and the singular values of (D, D) matrices: seconds for D
  = 2048, a minute for 15 points.

  Args:
    features: (N, D) features, N >= 10 * points.
    reference: moments of the data.
    points: scores computed, at numbers of samples evenly spaced from N // 10
      to N. Each is of a random subset without replacement.
    seed: seed of the subsets, 0 or more.

  Raises:
    UserError: too few samples or points, or features that are not finite.
    ValueError: features of another dimension than the reference.
  """
  decomposed = frechet.gaussian(reference)

  def distance(subset: np.ndarray) -> float:
    own = frechet.gaussian(statistics.moments_of(subset))
    return frechet.distance(own, decomposed)

  return _extrapolate(
    distance,
    features,
    points,
    seed,
  )


def score_at_infinity(
  logits: Float[np.ndarray, "N K"], *, points: int = POINTS, seed: int = 0
) -> Extrapolated:
  """The inception score in the limit of many samples, in one split.

  Args:
    logits: (N, K) unnormalised log probabilities, N >= 10 * points.
    points: scores computed, see `frechet_at_infinity`.
    seed: seed of the subsets, 0 or more.

  Raises:
    UserError: too few samples or points, or logits that are not finite.
  """
  return _extrapolate(
    lambda subset: inception_score.inception_score(subset, splits=1)[0],
    logits,
    points,
    seed,
  )


def _extrapolate(
  score: Callable[[np.ndarray], float],
  samples: np.ndarray,
  points: int,
  seed: int,
) -> Extrapolated:
  num = len(samples)
  if points < 3 or num < 10 * points:
    raise errors.UserError(
      f"A score of {num} samples cannot be extrapolated from {points} points; "
      "use at least 3 points and at least 10 samples per point."
    )
  counts = np.linspace(num // 10, num, points).astype(int)
  rng = np.random.default_rng(seed)
  scores = [
    score(samples[rng.choice(num, count, replace=False)]) for count in counts
  ]
  return fit(counts, np.array(scores))


def fit(
  counts: Int[np.ndarray, " P"], scores: Float64[np.ndarray, " P"]
) -> Extrapolated:
  """Fits scores = value + slope / counts by least squares.

  Args:
    counts: (P,) different numbers of samples, P >= 3.
    scores: (P,) the score at each.
  """
  inverse = 1 / np.asarray(counts, np.float64)
  mean, centred = inverse.mean(), inverse - inverse.mean()
  scatter = centred @ centred
  slope = centred @ scores / scatter
  value = scores.mean() - slope * mean
  residuals = scores - value - slope * inverse
  variance = residuals @ residuals / (len(scores) - 2)
  error = np.sqrt(variance * (1 / len(scores) + mean**2 / scatter))
  return Extrapolated(float(value), float(error), float(slope), counts, scores)

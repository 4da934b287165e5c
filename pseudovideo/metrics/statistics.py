r"""Streaming mean and covariance of feature vectors, in float64 on the host.

Batches are merged by the rule of Chan, Golub and LeVeque (1983): with counts
n_a, n_b, means m_a, m_b and scatter matrices S = \sum (x - m)(x - m)^T,

  n = n_a + n_b,   d = m_b - m_a,   m = m_a + d n_b / n,
  S = S_a + S_b + d d^T n_a n_b / n.

Unlike sums of x and x x^T, this does not cancel when the features are far from
zero, and the result does not depend on how they were cut into batches.
"""

import numpy as np
from jaxtyping import Float, Float64

from pseudovideo import errors

# Vectors that `moments_of` holds in float64 at once.
BLOCK = 4096


class Moments:
  """Count, mean and scatter matrix of the vectors seen so far.

  Attributes:
    num: number of vectors n.
    mean: (D,) float64.
    scatter: (D, D) float64, the sum of (x - mean)(x - mean)^T.
  """

  def __init__(self, dim: int):
    """No vectors yet, of `dim` numbers each."""
    self.num = 0
    self.mean: Float64[np.ndarray, " D"] = np.zeros(dim)
    self.scatter: Float64[np.ndarray, "D D"] = np.zeros((dim, dim))

  def update(self, features: Float[np.ndarray, "B D"]) -> None:
    """Adds a batch.

    The term d d^T n_a n_b / n joins the batch as one more row, so that a batch
    costs one (D, D) product and one sum in place, whatever its size.

    Args:
      features: (B, D) floats.

    Raises:
      ValueError: another dimension D.
      UserError: a value is not finite.
    """
    if features.shape[1] != len(self.mean):
      raise ValueError(
        f"Features of shape {features.shape} were given to moments of "
        f"dimension {len(self.mean)}; pass (B, {len(self.mean)})."
      )
    if not np.isfinite(features).all():
      raise errors.UserError(
        "Some features are NaN or infinite; check that the images and the "
        "weights of the feature network are finite."
      )
    if not len(features):
      return
    mean, total = features.mean(0, dtype=np.float64), self.num + len(features)
    shift = mean - self.mean
    between = np.sqrt(self.num * len(features) / total) * shift
    rows = np.concatenate([features - mean, between[None]])
    self.scatter += rows.T @ rows
    self.mean = self.mean + shift * (len(features) / total)
    self.num = total

  @property
  def covariance(self) -> Float64[np.ndarray, "D D"]:
    """(D, D) sample covariance, divided by n - 1.

    Raises:
      ValueError: fewer than two vectors.
    """
    if self.num < 2:
      raise ValueError(f"A covariance needs two vectors; there is {self.num}.")
    return self.scatter / (self.num - 1)


def moments_of(features: Float[np.ndarray, "N D"]) -> Moments:
  """The moments of (N, D) features that are all in memory."""
  moments = Moments(features.shape[-1])
  for start in range(0, len(features), BLOCK):
    moments.update(features[start : start + BLOCK])
  return moments

r"""Streaming mean and covariance of feature vectors, in float64 on the host.

Batches are merged by the rule of Chan, Golub and LeVeque (1983): with counts
n_a, n_b, means m_a, m_b and scatter matrices S = \sum (x - m)(x - m)^T,

  n = n_a + n_b,   d = m_b - m_a,   m = m_a + d n_b / n,
  S = S_a + S_b + d d^T n_a n_b / n.

Unlike sums of x and x x^T, this does not cancel when the features are far from
zero, and the result does not depend on how they were cut into batches.
"""

import numpy as np

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
    self.mean = np.zeros(dim)
    self.scatter = np.zeros((dim, dim))

  def update(self, features: np.ndarray, mask: np.ndarray | None = None):
    """Adds a batch.

    Args:
      features: (B, D) floats.
      mask: (B,) truth values; rows that are False, such as the padding of the
        last batch, are left out. None keeps every row.

    Raises:
      ValueError: a shape that does not fit.
      UserError: a kept value is not finite.
    """
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] != len(self.mean):
      raise ValueError(
        f"Features of shape {features.shape} were given to moments of "
        f"dimension {len(self.mean)}; pass (B, {len(self.mean)})."
      )
    if mask is not None:
      features = features[np.asarray(mask, bool)]
    if not np.isfinite(features).all():
      raise errors.UserError(
        "Some features are NaN or infinite; check that the images and the "
        "weights of the feature network are finite."
      )
    if len(features):
      mean = features.mean(0, dtype=np.float64)
      self._add(len(features), mean, features - mean)

  def merge(self, other: "Moments"):
    """Adds all that `other` has seen (from another device or process)."""
    if other.num:
      self.scatter += other.scatter
      self._add(other.num, other.mean, np.zeros((0, len(self.mean))))

  def _add(self, num: int, mean: np.ndarray, centred: np.ndarray):
    """Adds `num` vectors around `mean`, and the scatter of `centred` rows.

    The term d d^T n_a n_b / n joins the batch as one more row, so that a batch
    costs one (D, D) product and one sum in place, whatever its size.
    """
    total = self.num + num
    shift = mean - self.mean
    between = np.sqrt(self.num * num / total) * shift
    rows = np.concatenate([centred, between[None]])
    self.scatter += rows.T @ rows
    self.mean = self.mean + shift * (num / total)
    self.num = total

  @property
  def covariance(self) -> np.ndarray:
    """(D, D) sample covariance, divided by n - 1.

    Raises:
      ValueError: fewer than two vectors.
    """
    if self.num < 2:
      raise ValueError(f"A covariance needs two vectors; there is {self.num}.")
    return self.scatter / (self.num - 1)


def moments_of(features: np.ndarray) -> Moments:
  """The moments of (N, D) features that are all in memory."""
  moments = Moments(np.shape(features)[-1])
  for start in range(0, len(features), BLOCK):
    moments.update(features[start : start + BLOCK])
  return moments

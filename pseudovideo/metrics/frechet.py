r"""Frechet distance between two Gaussians (Dowson and Landau 1982).

  d^2 = |m_1 - m_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^{1/2}

The product S_1 S_2 is not symmetric, and its square root by general methods
turns complex or fails when there are fewer samples than dimensions. Writing
S_k = A_k A_k^T by the symmetric eigendecomposition, the last trace is the sum
of the singular values of A_1^T A_2, which is real for every covariance.

"FID" is this distance over one particular network's features (Heusel et al.
2017); over any other network it is named after that network.
"""

import numpy as np

from pseudovideo.metrics import statistics


def frechet_distance(
  mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray
) -> float:
  """The squared Frechet distance d^2 of the module docstring.

  Args:
    mean1: (D,) mean of the first set.
    cov1: (D, D) covariance of the first set, possibly singular.
    mean2: (D,) mean of the second set.
    cov2: (D, D) covariance of the second set.

  Returns:
    A float >= 0, computed in float64.

  Raises:
    ValueError: shapes that do not fit, NaN, or a matrix that is not a
      covariance.
  """
  mean1, mean2 = np.asarray(mean1, np.float64), np.asarray(mean2, np.float64)
  cov1, cov2 = np.asarray(cov1, np.float64), np.asarray(cov2, np.float64)
  dim = mean1.shape[0] if mean1.ndim == 1 else -1
  if mean2.shape != (dim,) or any(c.shape != (dim, dim) for c in (cov1, cov2)):
    raise ValueError(
      "Means must be (D,) and covariances (D, D) with one D; got "
      f"{mean1.shape}, {cov1.shape}, {mean2.shape}, {cov2.shape}."
    )
  cross = _factor(cov1).T @ _factor(cov2)
  root_trace = np.linalg.svd(cross, compute_uv=False).sum()
  difference = mean1 - mean2
  squared = difference @ difference + np.trace(cov1) + np.trace(cov2)
  # Rounding can end just below zero for equal sets.
  return max(float(squared - 2 * root_trace), 0.0)


def _factor(covariance: np.ndarray) -> np.ndarray:
  """(D, D) -> A of (D, rank) with A A^T = covariance."""
  if not np.isfinite(covariance).all():
    raise ValueError("A covariance holds NaN or infinite values.")
  values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
  scale = np.abs(values).max()
  if values.min() < -1e-6 * scale:
    raise ValueError(
      f"A covariance cannot have the eigenvalue {values.min():.3g} beside "
      f"{values.max():.3g}; it must be positive semidefinite."
    )
  # Smaller ones are rounding noise, whose square roots would not be small.
  kept = values > len(values) * np.finfo(np.float64).eps * scale
  return vectors[:, kept] * np.sqrt(values[kept])


def frechet_from_moments(
  first: statistics.Moments, second: statistics.Moments
) -> float:
  """`frechet_distance` of two accumulated sets."""
  return frechet_distance(
    first.mean, first.covariance, second.mean, second.covariance
  )

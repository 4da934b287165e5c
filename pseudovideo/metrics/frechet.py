r"""Frechet distance between two Gaussians (Dowson and Landau 1982).

  d^2 = |m_1 - m_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^{1/2}

The product S_1 S_2 is not symmetric, and its square root by general methods
turns complex or fails when there are fewer samples than dimensions. Writing
S_k = A_k A_k^T by the symmetric eigendecomposition, the last trace is the sum
of the singular values of A_1^T A_2, which is real for every covariance and
loses no digits to a square root of rounding noise. The cost is two
eigendecompositions and the singular values of one matrix, O(D^3): about ten
CPU-seconds at D = 2048.

"FID" is this distance over one particular network's features (Heusel et al.
2017); over any other network it is named after that network.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pseudovideo import errors
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
    A float >= 0, computed in float64; what rounding leaves below 0 is 0.

  Raises:
    ValueError: shapes that do not fit, or a matrix that is not a covariance.
    UserError: a mean or covariance that is not finite.
  """
  return _distance(_gaussian(mean1, cov1), _gaussian(mean2, cov2))


def frechet_from_moments(
  first: statistics.Moments, second: statistics.Moments
) -> float:
  """`frechet_distance` of two accumulated sets."""
  return distance_to(second)(first)


def distance_to(
  reference: statistics.Moments,
) -> Callable[[statistics.Moments], float]:
  """`frechet_from_moments(moments, reference)` as a function of `moments`.

  The reference is decomposed once, for however many sets are compared with it.
  """
  decomposed = _gaussian(reference.mean, reference.covariance)
  return lambda moments: _distance(
    _gaussian(moments.mean, moments.covariance), decomposed
  )


class _Gaussian(NamedTuple):
  """A mean (D,), the trace of a covariance, and its factor (D, rank)."""

  mean: np.ndarray
  trace: float
  factor: np.ndarray


def _gaussian(mean: np.ndarray, covariance: np.ndarray) -> _Gaussian:
  """Checks and decomposes one side of the distance."""
  mean = np.asarray(mean, np.float64)
  covariance = np.asarray(covariance, np.float64)
  if mean.ndim != 1 or covariance.shape != 2 * mean.shape:
    raise ValueError(
      "A mean must be (D,) and its covariance (D, D) with one D; got "
      f"{mean.shape} and {covariance.shape}."
    )
  if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
    raise errors.UserError(
      "A mean or covariance is NaN or infinite; compute it from finite "
      "features."
    )
  return _Gaussian(mean, np.trace(covariance), _factor(covariance))


def _factor(covariance: np.ndarray) -> np.ndarray:
  """(D, D) -> A of (D, rank) with A A^T = covariance."""
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


def _distance(first: _Gaussian, second: _Gaussian) -> float:
  if first.mean.shape != second.mean.shape:
    raise ValueError(
      "Gaussians of one dimension D can be compared; got "
      f"D = {len(first.mean)} and {len(second.mean)}."
    )
  cross = first.factor.T @ second.factor
  root_trace = np.linalg.svd(cross, compute_uv=False).sum()
  difference = first.mean - second.mean
  squared = difference @ difference + first.trace + second.trace
  # Rounding can end just below zero for equal sets.
  return max(float(squared - 2 * root_trace), 0.0)

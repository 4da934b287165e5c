r"""Frechet distance between two Gaussians (Dowson and Landau 1982).

  d^2 = |m_1 - m_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^{1/2}

The product S_1 S_2 is not symmetric, and its square root by general methods
turns complex or fails when there are fewer samples than dimensions. Writing
S_k = A_k A_k^T by the symmetric eigendecomposition, the last trace is the sum
of the singular values of A_1^T A_2, which is real for every covariance and
loses no digits to a square root of rounding noise. The cost is two
eigendecompositions and the singular values of one matrix, O(D^3): about five
CPU-seconds at D = 2048. One thread computes them: beside other programs two
would wait for each other, many times as long.

"FID" is this distance over one particular network's features (Heusel et al.
2017); over any other network it is named after that network.
"""

from typing import NamedTuple

import numpy as np
import threadpoolctl
from jaxtyping import Float64

from pseudovideo import errors
from pseudovideo.metrics import statistics


class Gaussian(NamedTuple):
  """One side of the distance, decomposed once and compared any number of times.

  Attributes:
    mean: (D,) m.
    trace: tr S.
    factor: (D, rank) A with A A^T = S.
  """

  mean: Float64[np.ndarray, " D"]
  trace: float
  factor: Float64[np.ndarray, "D R"]


def gaussian(moments: statistics.Moments) -> Gaussian:
  """Decomposes the mean and the covariance of a set.

  Args:
    moments: two vectors or more; the covariance may be singular.

  Raises:
    ValueError: fewer than two vectors, or a matrix that is not a covariance.
    UserError: a mean or covariance that is not finite.
  """
  mean, covariance = moments.mean, moments.covariance
  if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
    raise errors.UserError(
      "A mean or covariance is NaN or infinite; compute it from finite "
      "features."
    )
  with threadpoolctl.threadpool_limits(1, "blas"):
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
  scale = np.abs(values).max()
  if values.min() < -1e-6 * scale:
    raise ValueError(
      f"A covariance cannot have the eigenvalue {values.min():.3g} beside "
      f"{values.max():.3g}; it must be positive semidefinite."
    )
  # Smaller ones are rounding noise, whose square roots would not be small.
  kept = values > len(values) * np.finfo(np.float64).eps * scale
  factor = vectors[:, kept] * np.sqrt(values[kept])
  return Gaussian(mean, float(np.trace(covariance)), factor)


def distance(first: Gaussian, second: Gaussian) -> float:
  """The squared distance d^2 of the module docstring.

  Returns:
    A float >= 0; rounding errors below 0 are set to 0.

  Raises:
    ValueError: Gaussians of different dimensions.
  """
  if first.mean.shape != second.mean.shape:
    raise ValueError(
      "Gaussians of one dimension D can be compared; got "
      f"D = {len(first.mean)} and {len(second.mean)}."
    )
  cross = first.factor.T @ second.factor
  with threadpoolctl.threadpool_limits(1, "blas"):
    root_trace = np.linalg.svd(cross, compute_uv=False).sum()
  difference = first.mean - second.mean
  squared = difference @ difference + first.trace + second.trace
  # Rounding can end just below zero for equal sets.
  return max(float(squared - 2 * root_trace), 0.0)

r"""Kernel inception distance (Binkowski et al. 2018).

The squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3, by its
unbiased estimator

  \sum_{i != j} k(x_i, x_j) / (m (m - 1)) + the same of y
    - 2 \sum_{i, j} k(x_i, y_j) / (m n),

whose expectation does not depend on the number of samples, and which may be
negative for equal distributions.
"""

import numpy as np
from jaxtyping import Float

from pseudovideo import errors


def squared_mmd(
  first: Float[np.ndarray, "M D"], second: Float[np.ndarray, "N D"]
) -> float:
  """The unbiased estimator of the module docstring.

  Args:
    first: (M, D) features, M >= 2.
    second: (N, D) features, N >= 2.

  Returns:
    A float, computed in float64.
  """
  first, second = first.astype(np.float64), second.astype(np.float64)
  between = _kernel(first, second).mean()
  return float(_within(first) + _within(second) - 2 * between)


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  base = first @ second.T
  base /= first.shape[1]
  base += 1
  cube = base * base
  cube *= base
  return cube


def _within(features: np.ndarray) -> float:
  """Mean kernel over pairs of different vectors."""
  num = len(features)
  matrix = _kernel(features, features)
  return (matrix.sum() - np.trace(matrix)) / (num * (num - 1))


def kid(
  first: Float[np.ndarray, "..."],
  second: Float[np.ndarray, "..."],
  *,
  subsets: int = 100,
  subset_size: int = 1000,
  seed: int = 0,
) -> tuple[float, float]:
  """Mean and spread of `squared_mmd` over random subsets.

  Args:
    first: (M, D) features.
    second: (N, D) features.
    subsets: number of pairs of subsets, 1 or more.
    subset_size: vectors per subset, drawn without replacement; at most the
      smaller of M and N is used.
    seed: seed of the subsets, 0 or more.

  Returns:
    Mean and standard deviation (ddof 0) over the subsets. The deviation is no
    standard error, as subsets overlap.

  Raises:
    UserError: fewer than two vectors, features that do not fit together, or
      features that are not finite.
  """
  if first.ndim != 2 or first.shape[1:] != second.shape[1:]:
    raise errors.UserError(
      f"KID compares (M, D) with (N, D) features of one D; got {first.shape} "
      f"and {second.shape}."
    )
  size = min(subset_size, len(first), len(second))
  if size < 2 or subsets < 1:
    raise errors.UserError(
      f"KID with {len(first)} and {len(second)} samples, subsets of "
      f"{subset_size} and {subsets} subsets is undefined; use at least two "
      "samples of each, subsets of at least two, and at least one subset."
    )
  if not (np.isfinite(first).all() and np.isfinite(second).all()):
    raise errors.UserError(
      "KID was given features that are NaN or infinite; check that the images "
      "and the weights of the feature network are finite."
    )
  rng = np.random.default_rng(seed)
  values = [
    squared_mmd(
      first[rng.choice(len(first), size, replace=False)],
      second[rng.choice(len(second), size, replace=False)],
    )
    for _ in range(subsets)
  ]
  return float(np.mean(values)), float(np.std(values))

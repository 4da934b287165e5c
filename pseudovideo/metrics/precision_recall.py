r"""Nearest neighbours: precision, recall, and copies of training images.

Improved precision and recall (Kynkaanniemi et al. 2019, equations 1 and 2).

Each vector of a set gets a ball whose radius is the distance to its k-th
nearest other vector of that set; the union of the balls stands for the support
of the distribution.

  precision = share of generated vectors inside a ball of a real vector,
  recall    = share of real vectors inside a ball of a generated vector.

Both depend on the sizes of the sets, which must be quoted beside them; the
paper uses 50,000 vectors of each and k = 3.

Squared distances are |x|^2 + |y|^2 - 2 x.y in float64, about a common centre,
so that features far from zero do not cancel. Pairs that are nearly equal are
subtracted directly, so that duplicates are exactly 0 apart. The cost is three
matrix products of N x D by D x N.

If a model copies its training images, the mean distance of its images to the
nearest training image is well below that distance for held-out images, whatever
its other scores.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float64, Shaped

from pseudovideo import errors

# Below this share of |x|^2 + |y|^2, a squared distance is computed directly.
NEAR = 1e-6
# Squared distances that differ by less, relatively, count as equal: rounding
# must not decide whether a vector on the surface of a ball is inside.
TIE = 1e-9


def precision_recall(
  real: Float[np.ndarray, "N ..."],
  generated: Float[np.ndarray, "M ..."],
  *,
  neighbours: int = 3,
  block: int = 2048,
) -> tuple[float, float]:
  """Precision and recall of the module docstring.

  Args:
    real: (N, D) features of real images.
    generated: (M, D) features of generated images.
    neighbours: k, 1 .. min(N, M) - 1. A vector is told from its duplicates by
      its index, so duplicates are neighbours at distance 0.
    block: vectors compared at once, on either side; memory beside the features
      is a few block * (block + D) float64.

  Returns:
    Precision and recall, each in [0, 1].

  Raises:
    UserError: k below 1, no more than k vectors in a set, features that do not
      fit together, or features that are not finite.
  """
  _check(real, generated, neighbours)
  means = [s.mean(0, dtype=np.float64) for s in (real, generated)]
  centre = (means[0] + means[1]) / 2
  real_radii = _radii(real, centre, neighbours, block)
  generated_radii = _radii(generated, centre, neighbours, block)
  recalled = np.zeros(len(real), bool)
  precise = np.zeros(len(generated), bool)
  for rows, first in _blocks(real, centre, block):
    for columns, second in _blocks(generated, centre, block):
      squared = _squared_distances(first, second)
      precise[columns] |= (squared <= real_radii[rows, None]).any(0)
      recalled[rows] |= (squared <= generated_radii[None, columns]).any(1)
  return float(precise.mean()), float(recalled.mean())


def _check(real: np.ndarray, generated: np.ndarray, neighbours: int) -> None:
  if real.ndim != 2 or real.shape[1:] != generated.shape[1:]:
    raise errors.UserError(
      "Precision and recall compare (N, D) with (M, D) features of one D; got "
      f"{real.shape} and {generated.shape}."
    )
  if not 1 <= neighbours < min(len(real), len(generated)):
    raise errors.UserError(
      f"Precision and recall with {neighbours} neighbours need at least one "
      "neighbour and more vectors than neighbours in each set; got "
      f"{len(real)} real and {len(generated)} generated ones."
    )
  if not (np.isfinite(real).all() and np.isfinite(generated).all()):
    raise errors.UserError(
      "Precision and recall were given features that are NaN or infinite; "
      "check that the images and the weights of the network are finite."
    )


def _blocks(
  features: np.ndarray, centre: np.ndarray, block: int
) -> Iterator[tuple[slice, np.ndarray]]:
  """Row ranges and their centred vectors in float64."""
  for start in range(0, len(features), block):
    rows = slice(start, start + block)
    yield rows, features[rows] - centre


def _radii(
  features: np.ndarray, centre: np.ndarray, neighbours: int, block: int
) -> np.ndarray:
  """(N,) squared radii, widened by `TIE`."""
  radii = np.empty(len(features))
  for rows, first in _blocks(features, centre, block):
    nearest = np.full((len(first), neighbours), np.inf)
    for columns, second in _blocks(features, centre, block):
      squared = _squared_distances(first, second)
      if columns == rows:
        np.fill_diagonal(squared, np.inf)
      squared = np.concatenate([nearest, squared], 1)
      nearest = np.partition(squared, neighbours - 1)[:, :neighbours]
    radii[rows] = nearest.max(1)
  return radii * (1 + TIE)


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """(B, D), (C, D) float64 -> (B, C)."""
  norms = np.einsum("nd,nd->n", first, first)[:, None]
  norms = norms + np.einsum("nd,nd->n", second, second)[None]
  squared = norms - 2 * (first @ second.T)
  rows, columns = np.nonzero(squared <= NEAR * norms)
  # In parts, as all pairs are near where all vectors are equal.
  for start in range(0, len(rows), len(first)):
    pairs = slice(start, start + len(first))
    difference = first[rows[pairs]] - second[columns[pairs]]
    exact = np.einsum("nd,nd->n", difference, difference)
    squared[rows[pairs], columns[pairs]] = exact
  return squared


def nearest_features(
  features: Float[np.ndarray, "N ..."],
  reference: Float[np.ndarray, "M ..."],
  *,
  block: int = 1024,
) -> Float64[np.ndarray, " N"]:
  """Euclidean distance from each feature vector to its nearest reference.

  Args:
    features: (N, D) floats.
    reference: (M, D) floats, M >= 1.
    block: vectors compared at once, on either side.

  Returns:
    (N,) float64, exactly 0 for a copy.

  Raises:
    ValueError: other dimensions, or no reference.
  """
  if features.shape[1:] != reference.shape[1:] or not len(reference):
    raise ValueError(
      f"Features of shape {features.shape} cannot be compared with "
      f"{reference.shape}."
    )
  centre = reference.mean(0, dtype=np.float64)
  nearest = np.full(len(features), np.inf)
  for rows, first in _blocks(features, centre, block):
    for _, second in _blocks(reference, centre, block):
      squared = _squared_distances(first, second)
      nearest[rows] = np.minimum(nearest[rows], squared.min(1))
  return np.sqrt(nearest)


def nearest_distances(
  images: Shaped[np.ndarray, "N ..."],
  training: Shaped[np.ndarray, "M ..."],
  *,
  block: int = 1024,
) -> Float64[np.ndarray, " N"]:
  """Euclidean distance from each image to its nearest training image.

  Memory is bounded by `block`: about block * (block + 2 H W C) float64.

  Args:
    images: (N, H, W, C) uint8.
    training: (M, H, W, C) uint8, M >= 1.
    block: images compared at once, on either side.

  Returns:
    (N,) float64: sqrt of the sum over pixels and channels of squared
    differences, with pixels in [0, 1]. Exactly 0 for a copy.

  Raises:
    ValueError: other types, shapes that do not fit, or no training image.
  """
  for array in (images, training):
    if array.dtype != np.uint8 or array.ndim != 4:
      raise ValueError(
        f"Images are uint8 (N, H, W, C); got {array.dtype} {array.shape}."
      )
  if images.shape[1:] != training.shape[1:] or not len(training):
    raise ValueError(
      f"Images of shape {images.shape[1:]} cannot be compared with "
      f"{len(training)} training images of shape {training.shape[1:]}."
    )
  nearest = np.full(len(images), np.inf)
  for row in range(0, len(images), block):
    rows = slice(row, row + block)
    queries, query_norms = _flat(images[rows])
    for column in range(0, len(training), block):
      others, other_norms = _flat(training[column : column + block])
      squared = query_norms[:, None] + other_norms - 2 * queries @ others.T
      nearest[rows] = np.minimum(nearest[rows], squared.min(1))
  return np.sqrt(nearest) / 255


def _flat(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Rows of grey levels 0..255 and their squared norms.

  They stay integers, which float64 sums exactly; pixels in [0, 1] are rounded,
  and the distance of a copy would not be zero.
  """
  rows = images.reshape(len(images), -1).astype(np.float64)
  return rows, np.einsum("nd,nd->n", rows, rows)

r"""Sliced 2-Wasserstein distance of two sets of images, over their patches.

The 2-Wasserstein distance of two equally large sets of numbers is the root mean
square difference of the sorted numbers. The sliced one of vectors is the root
mean square of that over their projections on random unit directions (Rabin et
al. 2011, "Wasserstein Barycenter and Its Application to Texture Mixing").

Karras et al. (2018), "Progressive Growing of GANs", compare generated images by
it over 7x7 patches of a Laplacian pyramid, each channel with mean 0 and
deviation 1, 128 patches per image. Here there is no pyramid and nothing is
normalised: brightness and contrast count, coarse structure beyond a patch does
not, and the values cannot be compared with theirs.

The unit is grey values where black is 0 and white 1: all pixels brighter by c
give about c, exactly the root mean square of c times the sums of directions.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, UInt8

SIDE = 7
DIRECTIONS = 256
# Of a set. In float64, their projections are 134 MB.
MOST_PATCHES = 2**16
MOST_PER_IMAGE = 128


def patches_per_image(num: int) -> int:
  """The number of patches of each of `num` images, at most `MOST_PATCHES`."""
  return min(MOST_PER_IMAGE, MOST_PATCHES // num)


def side(height: int, width: int) -> int:
  """The side of patches, in pixels."""
  return min(SIDE, height, width)


def projections(
  blocks: Iterable[UInt8[np.ndarray, "_ H W C"]], num: int, seed: int
) -> Float64[np.ndarray, "K M"]:
  """Sorted projections of patches at random places, all that is held of them.

  The places in image i depend on the seed, i and the shape alone. So two sets
  of one shape are looked at through the same windows, and equal sets have the
  distance 0.

  Args:
    blocks: (n, H, W, C) images of one shape.
    num: number N of images in all, at most `MOST_PATCHES`.
    seed: seed of places and directions, 0 or more.

  Returns:
    (DIRECTIONS, N patches_per_image(N)) float64, each row ascending.
  """
  rng = np.random.default_rng(seed)
  each, start = patches_per_image(num), 0
  found = np.empty((DIRECTIONS, num * each))
  directions = np.zeros((DIRECTIONS, 0))
  for block in blocks:
    if not start:
      directions = _directions(block.shape, rng)
    patches = _patches(block, each, rng)
    np.matmul(directions, patches.T, out=found[:, start : start + len(patches)])
    start += len(patches)
  found.sort(axis=1)
  return found


def distance(
  first: Float64[np.ndarray, "K M"], second: Float64[np.ndarray, "K M"]
) -> float:
  """The root mean square difference of sorted projections.

  Args:
    first: result of `projections`.
    second: result of `projections` for as many images of that shape, with that
      seed.

  Returns:
    A float >= 0, in grey values where black is 0 and white 1.
  """
  rows = zip(first, second, strict=True)
  return float(np.sqrt(np.mean([np.square(x - y).mean() for x, y in rows])))


def _directions(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
  """Unit vectors (DIRECTIONS, D) of the size of patches, evenly distributed."""
  size = side(*shape[1:3])
  vectors = rng.normal(size=(DIRECTIONS, size * size * shape[3]))
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _patches(
  images: np.ndarray, each: int, rng: np.random.Generator
) -> np.ndarray:
  """Patches (B each, D) in [0, 1] at random places, drawn with replacement."""
  size = side(*images.shape[1:3])
  windows = np.lib.stride_tricks.sliding_window_view(
    images, (size, size), axis=(1, 2)
  )
  num, rows, columns = windows.shape[:3]
  place = rng.integers(rows * columns, size=(num, each))
  row, column = np.divmod(place, columns)
  chosen = windows[np.arange(num)[:, None], row, column]
  return chosen.reshape(num * each, -1) / 255

r"""Blur by the heat equation, in the basis of the discrete cosine transform.

The heat equation du/dt = Laplacian(u) on an image of H x W pixels (spacing 1,
insulated edges) multiplies the DCT-II coefficient (n, m) by

  exp(-lambda_nm t),  lambda_nm = (pi n / H)^2 + (pi m / W)^2,

and t = sigma^2 / 2 blurs like a Gaussian of standard deviation sigma pixels
(Rissanen et al. 2022, "Generative modelling with inverse heat dissipation",
Sec. 2). This is F_h(t) in Eq. 11 of the pseudo-video paper. The mean of an
image does not change. Nothing is clipped: small sigmas overshoot at edges by a
few percent.
"""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64

from pseudovideo import keys
from pseudovideo.augmentations import common
from pseudovideo.fields import Positive
from pseudovideo.shapes import AnyArray

Sigma = float | Float[AnyArray, ""] | Float[AnyArray, " B"]


@functools.lru_cache
def dct_matrix(size: int) -> Float64[np.ndarray, "size size"]:
  """The orthonormal DCT-II as a matrix.

  Args:
    size: number of samples n >= 1.

  Returns:
    (n, n) float64, read-only; row k is the cosine of frequency k, so that
    `dct_matrix(n) @ signal` is the transform and the transpose its inverse.
  """
  frequency = np.arange(size)[:, None]
  position = np.arange(size)[None, :] + 0.5
  matrix = np.sqrt(2 / size) * np.cos(np.pi * frequency * position / size)
  matrix[0] = np.sqrt(1 / size)
  matrix.flags.writeable = False
  return matrix


def blur_sigmas(
  levels: int, sigma_min: float, sigma_max: float
) -> Float64[np.ndarray, " {levels}+1"]:
  """Standard deviations of the blur at levels 0 .. `levels`.

  Args:
    levels: number K >= 1 of blurred levels.
    sigma_min: standard deviation at level 1, in pixels, > 0.
    sigma_max: standard deviation at level K, in pixels.

  Returns:
    0, then K values from `sigma_min` to `sigma_max`, both
    included, with equal ratios.
  """
  logs = np.linspace(np.log(sigma_min), np.log(sigma_max), levels)
  return np.concatenate([[0.0], np.exp(logs)])


def _per_axis(
  images: Float32[AnyArray, "B H W C"],
  rows: Float64[np.ndarray, "H H"],
  columns: Float64[np.ndarray, "W W"],
) -> Float32[Array, "B H W C"]:
  """One filter along both axes, rows @ image @ columns^T for each channel."""
  return common.filter_axes(images, rows[None], columns[None])[:, 0]


def to_frequencies(
  images: Float32[AnyArray, "B H W C"],
) -> Float32[Array, "B H W C"]:
  """The orthonormal 2-D DCT-II of each channel; (n, m) takes place (h, w)."""
  _, height, width, _ = images.shape
  return _per_axis(images, dct_matrix(height), dct_matrix(width))


def from_frequencies(
  coefficients: Float32[AnyArray, "B H W C"],
) -> Float32[Array, "B H W C"]:
  """The inverse of `to_frequencies`, up to float32 rounding."""
  _, height, width, _ = coefficients.shape
  return _per_axis(coefficients, dct_matrix(height).T, dct_matrix(width).T)


def eigenvalues(height: int, width: int) -> Float64[np.ndarray, "H W"]:
  """The rates lambda_nm at which the modes (n, m) decay."""
  return (
    np.square(np.pi * np.arange(height) / height)[:, None]
    + np.square(np.pi * np.arange(width) / width)[None, :]
  )


def heat_blur(
  images: Float32[AnyArray, "B H W C"], sigma: Sigma
) -> Float32[Array, "B H W C"]:
  """Images after the heat equation has run for the time sigma^2 / 2.

  Args:
    images: in any range.
    sigma: standard deviation of the blur in pixels, >= 0: one number, or one
      per image. 0 returns the images up to rounding (about 2e-7).

  Returns:
    The blurred images, not clipped.
  """
  return from_frequencies(blurred_frequencies(images, sigma))


def blurred_frequencies(
  images: Float32[AnyArray, "B H W C"], sigma: Sigma
) -> Float32[Array, "B H W C"]:
  """`to_frequencies` of `heat_blur`, for the same arguments."""
  _, height, width, _ = images.shape
  rates = eigenvalues(height, width).astype("f4")[None, :, :, None]
  # (B, 1, 1, 1), or (1, 1, 1, 1) for one sigma.
  time = jnp.square(jnp.asarray(sigma, jnp.float32)).reshape(-1, 1, 1, 1) / 2
  return to_frequencies(images) * jnp.exp(-rates * time)


@functools.lru_cache
def heat_matrices(
  side: int, sigmas: tuple[float, ...]
) -> Float64[np.ndarray, "K side side"]:
  """The blurs along one axis as matrices.

  Returns:
    One matrix per sigma; an image blurred by sigma_k is
    `rows[k] @ image @ columns[k].T`, rows made for its height and columns for
    its width.
  """
  basis = dct_matrix(side)
  rates = np.square(np.pi * np.arange(side) / side)
  decay = np.exp(-np.outer(np.square(sigmas) / 2, rates))  # (K, side)
  # The transform, the decay of each mode, and the inverse transform.
  return basis.T @ (decay[:, :, None] * basis)


@dataclasses.dataclass(frozen=True)
class Heat(common.Corruption):
  """The image after ever longer times of the heat equation.

  Attributes:
    frames: T, at least 2: T - 1 blurred frames and the image.
    sigma_min: standard deviation of the blur next to the image, in pixels.
    sigma_max: standard deviation at frame 0, in pixels. From frame to frame the
      deviation grows by the same factor. Rissanen et al. take 0.5 and 20 for 28
      x 28 pixels, 0.5 and 24 for 32 x 32. With T = 2 only `sigma_min` is used.
  """

  sigma_min: Positive = 0.5
  sigma_max: Positive = 20.0

  def check(self) -> None:
    """Refuses a `sigma_min` above `sigma_max`."""
    common.check_order("sigma_min", self.sigma_min, "sigma_max", self.sigma_max)

  def __call__(
    self,
    images: Float32[AnyArray, "B H W C"],
    *,
    key: keys.Keys | None = None,
  ) -> Float32[Array, "B T H W C"]:
    """The video; nothing is drawn from `key`."""
    common.check_images(images)
    sigmas = blur_sigmas(self.frames - 1, self.sigma_min, self.sigma_max)
    far_to_near = tuple(sigmas[:0:-1].tolist())
    rows, columns = (
      heat_matrices(side, far_to_near) for side in images.shape[1:3]
    )
    return common.append_image(
      common.filter_axes(images, rows, columns), images
    )

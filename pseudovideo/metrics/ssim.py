r"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004, Eq. 13).

  (2 m_x m_y + C_1) (2 s_xy + C_2)
    / ((m_x^2 + m_y^2 + C_1) (s_x^2 + s_y^2 + C_2))

with means, variances and the covariance under an 11 x 11 Gaussian window of
standard deviation 1.5, C_1 = (0.01 * 255)^2 and C_2 = (0.03 * 255)^2. It is
taken at every place where the window is inside of the image, in every channel,
and averaged. It depends on the range of the pixels, which is 0 to 255 here.
"""

import numpy as np
from jaxtyping import Float64, Shaped

from pseudovideo import errors
from pseudovideo.metrics import pairs

SIZE = 11
SIGMA = 1.5
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2

_WINDOW = np.exp(-((np.arange(SIZE) - SIZE // 2) ** 2) / (2 * SIGMA**2))
_WINDOW /= _WINDOW.sum()


def per_image(
  reference: Shaped[np.ndarray, "..."], other: Shaped[np.ndarray, "..."]
) -> Float64[np.ndarray, "..."]:
  """The similarity of each pair of images.

  Args:
    reference: (N, H, W, C) images or (N, T, H, W, C) videos, uint8, of 11 x 11
      pixels or more.
    other: uint8 of that shape.

  Returns:
    (N,) or (N, T) float64 in [-1, 1], 1 where a pair is equal.

  Raises:
    UserError: smaller images, or other types, shapes or dimensions, see
      `pairs.checked`.
  """
  reference, other = pairs.checked(reference, other)
  height, width = reference.shape[-3:-1]
  if min(height, width) < SIZE:
    raise errors.UserError(
      f"The structural similarity has a window of {SIZE} x {SIZE} pixels and "
      f"the images have {height} x {width}; give larger ones."
    )
  return pairs.map_images(_similarity, reference, other)


def per_position(
  reference: Shaped[np.ndarray, "..."],
  other: Shaped[np.ndarray, "..."],
  period: int = 4,
) -> Float64[np.ndarray, " period"]:
  """The similarity by place in a group of frames (IV-VAE, Wu et al. 2024, A.2).

  A video codec that compresses groups of `period` frames, after a first frame
  on its own, flickers if it does not serve all places in a group alike.

  Args:
    reference: (N, T, H, W, C) videos, uint8.
    other: uint8 of that shape.
    period: frames in a group, a divisor of T - 1.

  Returns:
    (period,) float64: the mean of `per_image` over videos and groups, without
    frame 0. Element p is of the frames 1 + p, 1 + p + period and so on.

  Raises:
    UserError: images instead of videos, a length that is not 1 + a multiple of
      `period`, or what `per_image` refuses.
  """
  return by_position(per_image(reference, other), period)


def by_position(
  values: Float64[np.ndarray, "..."], period: int = 4
) -> Float64[np.ndarray, " period"]:
  """Means by place in a group of similarities that `per_image` returned.

  Args:
    values: (N, T), similarities of videos.
    period: frames in a group, a divisor of T - 1.

  Returns:
    (period,) float64, see `per_position`.

  Raises:
    UserError: (N,) similarities of images, or another length T.
  """
  frames = values.shape[1] if values.ndim == 2 else 1
  if period < 1 or frames == 1 or (frames - 1) % period:
    raise errors.UserError(
      f"The similarity by place in groups of {period} frames is undefined for "
      f"{frames} frames; give (N, T, H, W, C) videos of T = 1 + a multiple of "
      "the period."
    )
  return values[:, 1:].reshape(-1, period).mean(0)


def spread(profile: Float64[np.ndarray, " P"]) -> float:
  """The maximum minus the minimum over the places of `per_position`."""
  return float(np.ptp(profile))


def _similarity(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  mean_x, mean_y = _blur(x), _blur(y)
  # Differences of large numbers; their rounding (1e-11) is negligible beside
  # C2.
  var_x = _blur(x * x) - mean_x**2
  var_y = _blur(y * y) - mean_y**2
  cov = _blur(x * y) - mean_x * mean_y
  above = (2 * mean_x * mean_y + C1) * (2 * cov + C2)
  below = (mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2)
  return (above / below).mean((1, 2, 3))


def _blur(images: np.ndarray) -> np.ndarray:
  """(B, H, W, C) -> (B, H - 10, W - 10, C), means under the window."""
  height, width = np.subtract(images.shape[1:3], SIZE - 1)
  rows = sum(w * images[:, i : i + height] for i, w in enumerate(_WINDOW))
  return sum(w * rows[:, :, i : i + width] for i, w in enumerate(_WINDOW))

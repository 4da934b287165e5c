r"""Distance of two sets of images by their radial power spectra, in decibels.

The power of a frequency is |F|^2 / (H W), F the 2-D discrete Fourier transform
of the pixels in [0, 1]: white noise of variance v has the power v everywhere.
It is averaged over images, channels and rings; a ring holds the frequencies
whose radius rounds to its number of cycles per image. Rings go from 1 to
floor(min(H, W) / 2); neither the mean grey value nor the corners beyond the
last ring count. Images that are not square have the radius in cycles per pixel,
times the shorter side, so that a ring holds one fineness of detail.

The distance is the root mean square over rings of 10 log10(P_1 / P_2). It shows
what generated images lack or have too much of at each fineness, blur and noise
above all, and is blind to where things are and what they are. Durall et al.
(2020), "Watch your Up-Convolution", tell generated images by spectra summed
over circles; this distance of them is ours.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, UInt8

# The power of rounding to 8 bits. No image says anything about less.
FLOOR = (1 / 255) ** 2 / 12
# Numbers that are transformed at a time, unless one image has more: 1 MB.
_BLOCK = 2**17


def power(
  blocks: Iterable[UInt8[np.ndarray, "_ H W C"]],
) -> Float64[np.ndarray, " R"]:
  """The mean power in each ring; memory does not grow with the images.

  Args:
    blocks: (n, H, W, C) images of one shape, H and W at least 2; one image or
      more in all.

  Returns:
    (R,) float64, 0 or more, R = floor(min(H, W) / 2), from ring 1 on; in units
    of squared grey values where black is 0 and white 1.
  """
  total, num, width = np.zeros(()), 0, 0
  for block in blocks:
    width = block.shape[2]
    step = max(1, _BLOCK // block[0].size)
    for start in range(0, len(block), step):
      total = total + _summed(block[start : start + step])
    num += len(block) * block.shape[3]
  return _ring_means(total / (num * len(total) * width), width)


def distance(
  first: Float64[np.ndarray, " R"], second: Float64[np.ndarray, " R"]
) -> float:
  """The root mean square over rings of the ratio of two powers, in decibels.

  Args:
    first: result of `power`.
    second: result of `power` for images of that shape.

  Returns:
    A float >= 0; powers below `FLOOR` count as `FLOOR`, so that it is finite.
  """
  ratio = np.maximum(first, FLOOR) / np.maximum(second, FLOOR)
  return float(np.sqrt(np.square(10 * np.log10(ratio)).mean()))


def _summed(images: np.ndarray) -> np.ndarray:
  """|F|^2 (H, W // 2 + 1), summed over images and channels."""
  planes = np.ascontiguousarray(np.moveaxis(images, 3, 1)) / 255
  found = np.fft.rfft2(planes)
  return (found.real**2 + found.imag**2).sum((0, 1))


def _ring_means(powers: np.ndarray, width: int) -> np.ndarray:
  """Means of (H, W // 2 + 1) powers over rings 1 and up."""
  vertical = np.fft.fftfreq(len(powers))[:, None]
  horizontal = np.fft.rfftfreq(width)
  short = min(len(powers), width)
  rings = np.rint(short * np.hypot(vertical, horizontal)).astype(int).ravel()
  # What has no partner at the negative frequency counts once, all else twice.
  alone = (horizontal == 0) | (horizontal == 0.5)
  weights = np.broadcast_to(np.where(alone, 1.0, 2.0), powers.shape).ravel()
  sums = np.bincount(rings, weights * powers.ravel())
  return (sums / np.bincount(rings, weights))[1 : short // 2 + 1]

"""Pictures of many images: sample grids and film strips, as uint8 RGB.

Plain numpy, outside any jit. The size of a picture is, with cells of h x w
source pixels, an integer scale s and borders of b pixels:

  H' = rows (s h + b) + b,   W' = columns (s w + b) + b.
"""

import io
import math
import os
import pathlib

import numpy as np

from pseudovideo import errors
from pseudovideo.files import atomic, untrusted

BORDER = (112, 120, 136)
"""Colour of the lines between cells; seen beside black and beside white."""

ACCENT = (255, 138, 0)
"""Colour around the last frame of a pseudo video, which is the image."""

MOST_PIXELS = 2**25
"""Pixels of a picture that is read; a grid of 100 images has 250,000."""

CELL = 48
"""A cell is enlarged to at least this many pixels, unless `scale` is given."""


def to_rgb(images: np.ndarray) -> np.ndarray:
  """(..., H, W, 1 or 3) uint8 -> (..., H, W, 3) uint8.

  Raises:
    ValueError: not uint8, or another number of channels.
  """
  images = np.asarray(images)
  if images.dtype != np.uint8:
    raise ValueError(f"Pictures are made of uint8 images; got {images.dtype}.")
  if images.ndim < 3 or images.shape[-1] not in (1, 3):
    raise ValueError(
      f"Pictures need 1 or 3 channels, last; got shape {images.shape}."
    )
  return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images


def enlarge(images: np.ndarray, scale: int) -> np.ndarray:
  """(..., H, W, C) -> (..., scale H, scale W, C); each pixel is repeated."""
  return images.repeat(scale, -3).repeat(scale, -2)


def default_scale(height: int, width: int) -> int:
  """The least integer that makes the longer side `CELL` pixels or more."""
  return math.ceil(CELL / max(height, width))


def grid(
  images: np.ndarray,
  *,
  columns: int | None = None,
  border: int = 3,
  scale: int | None = None,
) -> np.ndarray:
  """Sets images side by side, row after row, with a border around each.

  Args:
    images: (N, H, W, C) uint8, N >= 1, C = 1 or 3.
    columns: images per row; by default the least that makes the grid no
      higher than wide, ceil(sqrt(N)).
    border: thickness of the lines, in pixels of the result.
    scale: each pixel becomes scale x scale pixels; by default `default_scale`.

  Returns:
    (H', W', 3) uint8; left-over cells have the border's colour.

  Raises:
    ValueError: wrong shape or type, or no image.
  """
  images = to_rgb(images)
  if images.ndim != 4 or not len(images):
    raise ValueError(f"A grid needs (N, H, W, C), N >= 1; got {images.shape}.")
  num, height, width, _ = images.shape
  cells = enlarge(images, scale or default_scale(height, width))
  columns = columns or math.ceil(math.sqrt(num))
  rows = math.ceil(num / columns)
  high, wide = cells.shape[1] + border, cells.shape[2] + border
  picture = np.empty((rows * high + border, columns * wide + border, 3), "u1")
  picture[:] = BORDER
  for i, cell in enumerate(cells):
    top, left = (i // columns) * high + border, (i % columns) * wide + border
    picture[top : top + len(cell), left : left + cell.shape[1]] = cell
  return picture


def film_strip(
  videos: np.ndarray, *, border: int = 2, scale: int | None = None
) -> np.ndarray:
  """Sets each video in a row, frames from left to right, the last one marked.

  Args:
    videos: (N, T, H, W, C) uint8, N and T >= 1, C = 1 or 3.
    border: thickness of the lines, in pixels of the result; those around the
      last frames have the colour `ACCENT`.
    scale: factor of enlargement, as for `grid`.

  Returns:
    (H', W', 3) uint8.

  Raises:
    ValueError: wrong shape or type, or no video.
  """
  videos = np.asarray(videos)
  if videos.ndim != 5:
    raise ValueError(f"A film strip needs (N, T, H, W, C); got {videos.shape}.")
  num, frames, height, width, channels = videos.shape
  scale = scale or default_scale(height, width)
  cells = videos.reshape(num * frames, height, width, channels)
  picture = grid(cells, columns=frames, border=border, scale=scale)
  last = picture[:, -(scale * width + 2 * border) :]
  last[:, :border] = ACCENT
  last[:, last.shape[1] - border :] = ACCENT
  for row in range(num + 1):
    top = row * (scale * height + border)
    last[top : top + border] = ACCENT
  return picture


def png_bytes(image: np.ndarray) -> bytes:
  """Encodes one (H, W, 1 or 3) uint8 image as PNG, without loss."""
  from PIL import Image

  buffer = io.BytesIO()
  Image.fromarray(to_rgb(image)).save(buffer, format="PNG", optimize=True)
  return buffer.getvalue()


def save_png(path: str | os.PathLike, image: np.ndarray) -> None:
  """Writes one (H, W, 1 or 3) uint8 image; at no time is half a file there.

  The folder is made if need be.
  """
  with atomic.replacing(pathlib.Path(path)) as part:
    part.write_bytes(png_bytes(image))


def read_png(path: str | os.PathLike) -> np.ndarray:
  """Reads a picture that `save_png` could have written, as (H, W, 3) uint8.

  Raises:
    UserError: there is no such file, or it is no PNG, damaged or too large.
  """
  from PIL import Image

  try:
    with (
      untrusted.opened(path) as file,
      Image.open(file, formats=["PNG"]) as picture,
    ):
      if picture.width * picture.height > MOST_PIXELS:
        raise ValueError(f"it has more than {MOST_PIXELS:,} pixels")
      return np.asarray(picture.convert("RGB"))
  except Exception as error:  # A damaged file can raise a dozen kinds.
    raise errors.UserError(
      f"The picture {path} cannot be read ({untrusted.reason(error)}); make it "
      "again."
    ) from error

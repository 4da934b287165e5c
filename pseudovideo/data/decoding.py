"""Decodes image files and records to uint8, by Pillow, in several threads."""

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

from pseudovideo import errors
from pseudovideo.data import faults, plain
from pseudovideo.files import untrusted

if TYPE_CHECKING:
  from PIL import Image

# A decompression bomb is refused before it is decoded; below Pillow's own
# bound, which only warns.
MAX_PIXELS = 2**26
# Images of more pixels are decoded one after another: with all intermediate
# arrays they take 12 bytes per pixel.
LARGE = 2**22
# The formats that Pillow may read, whatever the file's ending; others, such as
# EPS, can run programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
# Endings of files of further formats.
MORE_FORMATS = {".gif": ("GIF",), ".tif": ("TIFF",), ".tiff": ("TIFF",)}
DEEP_MODES = ("I", "F")  # 32 bits
# Each scan of a JPEG goes over all its pixels and can be as short as 95 bytes;
# progressive ones have about ten.
MAX_SCANS = 100
BLOCK = 256
# Threads that wait for small parts of files; a network answers them together.
READERS = 16

_SCAN = b"\xff\xda"
_large = threading.Lock()


@contextlib.contextmanager
def opened(
  source: pathlib.Path | IO[bytes],
  where: str,
  *,
  header_only: bool = False,
) -> Iterator:
  """Opens the image in a file, without decoding it yet.

  Of several images in a file, it is the first.

  Args:
    source: a path or an open file.
    where: name of the image in an error.
    header_only: whether the image will not be decoded, so that large files need
      not be read.

  Raises:
    UserError: not an image, a broken one, too large, or more than 16 bits per
      channel; also when the `with` block fails to decode it.
  """
  from PIL import Image, UnidentifiedImageError

  formats: tuple[str, ...] = FORMATS
  if isinstance(source, pathlib.Path):
    formats = MORE_FORMATS.get(source.suffix.lower(), FORMATS)
  try:
    with contextlib.ExitStack() as stack:
      if isinstance(source, pathlib.Path):
        source = stack.enter_context(untrusted.opened(source))
      image = stack.enter_context(Image.open(source, formats=formats))
      check(image, where)
      if not header_only:
        _check_scans(image, source, where)
      yield image
  except errors.UserError:
    raise
  except UnidentifiedImageError as error:
    raise faults.file_error(
      where,
      f"cannot be read as an image ({', '.join(formats)} are read)",
      "replace or remove it",
    ) from error
  except Exception as error:  # Pillow's plug-ins raise many types.
    raise faults.file_error(
      where,
      f"cannot be read as an image ({type(error).__name__}: "
      f"{untrusted.reason(error)})",
      "replace or remove it",
    ) from error


def check(image: "Image.Image", where: str) -> None:
  """Refuses images by their headers.

  Raises:
    UserError: no pixels, too many, or more than 16 bits per channel.
  """
  if not image.width * image.height:
    raise faults.file_error(where, "is an image without pixels", "remove it")
  if image.width * image.height > MAX_PIXELS:
    raise faults.file_error(
      where,
      f"is an image of {image.width}x{image.height}, more than "
      f"{MAX_PIXELS:,} pixels",
      "make it smaller or remove it",
    )
  if image.mode in DEEP_MODES:
    raise faults.file_error(
      where,
      f"has more than 16 bits per channel (Pillow mode {image.mode!r})",
      "convert it to 8 or 16 bits",
    )


def _check_scans(image: "Image.Image", file: IO[bytes], where: str) -> None:
  if image.format not in ("JPEG", "MPO"):
    return
  place = file.tell()
  file.seek(0)
  scans = file.read().count(_SCAN)
  file.seek(place)
  if scans > MAX_SCANS:
    raise faults.file_error(
      where,
      f"is a JPEG of {scans:,} scans, more than {MAX_SCANS}",
      "save it again or remove it",
    )


def square(image: "Image.Image", side: int) -> "Image.Image":
  """Makes a side x side image: halved, resized, cropped around its centre.

  As improved-diffusion (Nichol & Dhariwal 2021) does: halve by a box filter
  while the shorter side is at least 2 * side, resize the shorter side to `side`
  (bicubic), crop.

  Args:
    image: a Pillow image of mode L or RGB, its shorter side >= 1.
    side: side of the result, in pixels.
  """
  from PIL import Image

  while min(image.size) >= 2 * side:
    half = (image.width // 2, image.height // 2)
    image = image.resize(half, Image.Resampling.BOX)
  scale = side / min(image.size)
  size = (round(scale * image.width), round(scale * image.height))
  image = image.resize(size, Image.Resampling.BICUBIC)
  left, top = (image.width - side) // 2, (image.height - side) // 2
  return image.crop((left, top, left + side, top + side))


def to_array(
  image: "Image.Image",
  channels: int,
  side: int | None,
  background: plain.Colour = plain.WHITE,
) -> np.ndarray:
  """Decodes an image to (H, W, channels) uint8, upright and opaque.

  Args:
    image: an image from `opened`.
    channels: 1 for grey, 3 for RGB.
    side: side of the result in pixels, see `square`; None keeps the size.
    background: what transparent pixels show.
  """
  large = image.width * image.height > LARGE
  with _large if large else contextlib.nullcontext():
    image = plain.to_plain(image, channels, background)
    if side is not None:
      image = square(image, side)
    return np.asarray(image).reshape(image.height, image.width, channels)


def in_blocks(
  work: Callable[[int, int], None],
  total: int,
  title: str,
  *,
  unit: str = "image",
  block: int = BLOCK,
  threads: int | None = None,
) -> None:
  """Calls work(start, stop) over 0 .. total - 1, in threads.

  Shows a progress bar on a terminal, after half a second. The first exception,
  in the order of the blocks, stops the rest and is raised.

  Args:
    work: function that treats items start .. stop - 1.
    total: number of items.
    title: title of the progress bar.
    unit: what an item is.
    block: items of one call.
    threads: number of threads; by default that of the processor's cores.
  """
  import tqdm

  with (
    concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool,
    tqdm.tqdm(
      total=total,
      desc=title,
      unit=unit,
      disable=None,
      delay=0.5,
      # A terminal that does not know its width would show nothing.
      ncols=shutil.get_terminal_size().columns,
    ) as bar,
  ):
    futures = [
      (pool.submit(work, start, stop), stop - start)
      for start in range(0, total, block)
      for stop in [min(start + block, total)]
    ]
    try:
      for future, size in futures:
        future.result()
        bar.update(size)
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise

"""Plain images of any: upright, opaque, 8 bits per channel, grey or RGB.

Pillow reads what a file holds. A camera's file also says how it was held (the
EXIF tag Orientation), and a transparent pixel has a colour that nobody is meant
to see.
"""

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from pseudovideo import errors

if TYPE_CHECKING:
  from PIL import Image

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
GREY_MODES = ("1", "L", "LA", "La")
DEEP = "I;16"  # Beginning of Pillow's modes of 16 bits, all of them grey.
ORIENTATION = 0x0112  # The EXIF tag.
# How an image of that orientation is made upright: a method of Pillow.
METHODS = {
  2: "FLIP_LEFT_RIGHT",
  3: "ROTATE_180",
  4: "FLIP_TOP_BOTTOM",
  5: "TRANSPOSE",
  6: "ROTATE_270",
  7: "TRANSVERSE",
  8: "ROTATE_90",
}
# Chunks of a PNG that may hold the EXIF data.
EXIF_CHUNKS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
MAX_CHUNKS = 100_000
STRIP = 2**22  # pixels that are composited at once


def colour(text: str, name: str = "background") -> Colour:
  """The red, green and blue, 0..255, of a colour's name or `#rrggbb`.

  Args:
    text: the colour.
    name: what the colour is called in an error.

  Raises:
    UserError: it is written in another way.
  """
  if text == "white":  # Pillow need not be loaded for it.
    return WHITE
  from PIL import ImageColor

  word = text.lower() if isinstance(text, str) else ""
  if word in ImageColor.colormap or re.fullmatch("#[0-9a-f]{6}", word):
    return ImageColor.getrgb(word)[:3]
  raise errors.UserError(
    f"{name} must be a colour's name, such as 'white', 'black' or 'grey', or "
    f"'#rrggbb' with hexadecimal digits; got {errors.shown(text)}."
  )


def size(image: "Image.Image") -> tuple[int, int]:
  """(width, height) of the upright image, which is not decoded for it."""
  width, height = image.size
  # Pillow itself says how large a TIFF is when it is upright.
  turned = (
    image.format != "TIFF" and _has_exif(image) and orientation(image) >= 5
  )
  return (height, width) if turned else (width, height)


def orientation(image: "Image.Image") -> int:
  """The EXIF orientation, 1 to 8; 1 where none can be read."""
  try:
    found = image.getexif().get(ORIENTATION)
  except Exception:  # Broken EXIF data raise a dozen kinds.
    return 1
  return int(found) if found in METHODS else 1


def is_grey(image: "Image.Image", background: Colour = WHITE) -> bool:
  """True if `to_plain` shows shades of grey alone, by the header."""
  if image.has_transparency_data and len(set(background)) > 1:
    return False
  if image.mode in GREY_MODES or image.mode.startswith(DEEP):
    return True
  # Pillow makes RGBA of grey and alpha of 16 bits.
  return _raw_mode(image).startswith("LA") or _has_grey_palette(image)


def to_plain(
  image: "Image.Image", channels: int, background: Colour = WHITE
) -> "Image.Image":
  """Decodes an image.

  Transparent pixels are composited on the background. 16 bits become 8.

  Args:
    image: an image that Pillow has opened.
    channels: 1 for grey, 3 for RGB.
    background: what transparent pixels show.

  Returns:
    A Pillow image of mode L or RGB, upright.
  """
  from PIL import Image

  _correct_key(image)
  image.load()  # Pillow makes a TIFF upright here.
  method = METHODS.get(orientation(image))
  if image.mode.startswith(DEEP):
    image = _of_8_bits(image)
  if image.has_transparency_data:
    image = _composited(image, background)
  image = image.convert("L" if channels == 1 else "RGB")
  return image.transpose(Image.Transpose[method]) if method else image


def _composited(image: "Image.Image", background: Colour) -> "Image.Image":
  """The image on the background, RGB; strip by strip, to save memory."""
  from PIL import Image

  result = Image.new("RGB", image.size)
  rows = max(1, STRIP // image.width)
  for top in range(0, image.height, rows):
    bottom = min(top + rows, image.height)
    strip = image.crop((0, top, image.width, bottom)).convert("RGBA")
    base = Image.new("RGBA", strip.size, background)
    base.alpha_composite(strip)
    result.paste(base.convert("RGB"), (0, top))
  return result


def _of_8_bits(image: "Image.Image") -> "Image.Image":
  """Scales 16 bits to 8."""
  from PIL import Image

  values = np.asarray(image).astype(np.uint16)
  grey = Image.fromarray(((values + 128.0) / 257).astype(np.uint8))
  key = image.info.get("transparency")
  if key is None:
    return grey
  alpha = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
  return Image.merge("LA", (grey, alpha))


def _correct_key(image: "Image.Image") -> None:
  """Brings a PNG's transparent colour to 8 bits, as Pillow does its pixels."""
  key, raw = image.info.get("transparency"), _raw_mode(image)
  if image.mode == "L" and isinstance(key, int) and raw in ("L;2", "L;4"):
    image.info["transparency"] = key * (85 if raw == "L;2" else 17)
  if image.mode == "RGB" and isinstance(key, tuple) and "16" in raw:
    image.info["transparency"] = tuple(value >> 8 for value in key)


def _raw_mode(image: Any) -> str:
  """How pixels lie in the file, in Pillow's words; "" once it is decoded."""
  for tile in getattr(image, "tile", ()):
    args = tile[3]
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""
  return ""


def _has_grey_palette(image: Any) -> bool:
  if image.mode not in ("P", "PA") or image.palette is None:
    return False
  raw = image.palette.rawmode or image.palette.mode
  width = {"RGB": 3, "BGR": 3, "BGRX": 4}.get(raw)
  if width is None:
    return False
  content = bytes(image.palette.palette)
  content = content[: len(content) // width * width]
  red, green, blue = (content[i::width] for i in range(3))
  return red == green == blue


def _has_exif(image: Any) -> bool:
  """False for a PNG whose EXIF data Pillow would decode the image to find."""
  if image.format != "PNG" or "exif" in image.info:
    return True
  texts = ("Raw profile type exif", "XML:com.adobe.xmp", "xmp")
  return any(name in image.info for name in texts) or _has_late_exif(image.fp)


def _has_late_exif(file: Any) -> bool:
  """True if a PNG has chunks behind its pixels that may hold EXIF data."""
  place = file.tell()
  try:
    end = file.seek(0, os.SEEK_END)
    start = file.seek(8)
    pixels = False
    for _ in range(MAX_CHUNKS):
      head = file.read(8)
      if len(head) < 8 or head[4:] == b"IEND":
        return False
      pixels = pixels or head[4:] == b"IDAT"
      if pixels and head[4:] in EXIF_CHUNKS:
        return True
      start += 12 + int.from_bytes(head[:4], "big")
      if start >= end:
        return False
      file.seek(start)
    return False
  finally:
    file.seek(place)

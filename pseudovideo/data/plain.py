"""Plain images of any that Pillow reads: opaque."""

import re
from typing import TYPE_CHECKING

from pseudovideo import errors

if TYPE_CHECKING:
  from PIL import Image

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)


def colour(text: str) -> Colour:
  """The red, green and blue, 0..255, of a colour's name or `#rrggbb`.

  Raises:
    UserError: it is written in another way.
  """
  if text == "white":  # Pillow need not be loaded for it.
    return WHITE
  from PIL import ImageColor

  name = text.lower() if isinstance(text, str) else ""
  if name in ImageColor.colormap or re.fullmatch("#[0-9a-f]{6}", name):
    return ImageColor.getrgb(name)[:3]
  raise errors.UserError(
    f"The background {errors.shown(text)} is no colour; give a name such as "
    "'white', 'black' or 'grey', or '#rrggbb' with hexadecimal digits."
  )


def opaque(image: "Image.Image", background: Colour) -> "Image.Image":
  """The image of mode RGB, composited on the background where transparent."""
  from PIL import Image

  if not image.has_transparency_data:
    return image.convert("RGB")
  base = Image.new("RGBA", image.size, background)
  return Image.alpha_composite(base, image.convert("RGBA")).convert("RGB")

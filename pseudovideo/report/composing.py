"""Pictures made of pictures: side by side, below one another, with labels.

All are (H, W, 3) uint8, as in `drawing`, and lie on white.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BACKGROUND = (255, 255, 255)
INK = (0, 0, 0)
FONT_SIZE = 14

GAP = 24
"""Pixels between pictures that stand side by side."""

COLUMNS = 4
"""The most pictures of `captioned` that stand side by side."""

LABEL_WIDTH = 150
"""Pixels at the left of `labelled` strips, where their labels stand."""


def poster(grids: Sequence[np.ndarray], strip: np.ndarray) -> np.ndarray:
  """Sets grids side by side, and a film strip below them.

  Args:
    grids: pictures of equal height, (H, W, 3) uint8 each.
    strip: a picture, (H', W', 3) uint8.

  Returns:
    (H + GAP + H', W'', 3) uint8.
  """
  width = sum(grid.shape[1] + GAP for grid in grids) - GAP
  height = grids[0].shape[0] + GAP + strip.shape[0]
  canvas = np.full((height, max(width, strip.shape[1]), 3), 255, np.uint8)
  left = 0
  for grid in grids:
    canvas[: grid.shape[0], left : left + grid.shape[1]] = grid
    left += grid.shape[1] + GAP
  canvas[-strip.shape[0] :, : strip.shape[1]] = strip
  return canvas


def captioned(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
  """Sets pictures side by side, `COLUMNS` in a row, each below its label.

  Args:
    pictures: label -> (H, W, 3) uint8.

  Returns:
    (H', W', 3) uint8.
  """
  items = list(pictures.items())
  rows = [
    _captioned_row(dict(items[i : i + COLUMNS]))
    for i in range(0, len(items), COLUMNS)
  ]
  width = max(row.shape[1] for row in rows)
  return np.concatenate(
    [
      np.pad(
        row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255
      )
      for row in rows
    ]
  )


def _captioned_row(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
  from PIL import Image

  width = GAP + sum(one.shape[1] + GAP for one in pictures.values())
  labels = {
    label: textwrap.fill(label, int(one.shape[1] / FONT_SIZE * 1.9))
    for label, one in pictures.items()
  }
  lines = max(label.count("\n") for label in labels.values())
  top = 2 * GAP + lines * (FONT_SIZE + 4)
  height = top + max(one.shape[0] for one in pictures.values())
  canvas = Image.new("RGB", (width, height + GAP), BACKGROUND)
  pen, font = _pen_and_font(canvas)
  left = GAP
  for label, one in pictures.items():
    pen.text((left, GAP), labels[label], INK, font)
    canvas.paste(Image.fromarray(one), (left, top))
    left += one.shape[1] + GAP
  return np.asarray(canvas)


def labelled(strips: Mapping[str, np.ndarray]) -> np.ndarray:
  """Sets strips below one another, flush right, labels at their left.

  Args:
    strips: label -> (H, W, 3) uint8.

  Returns:
    (H', W', 3) uint8, with a border of `FONT_SIZE` pixels around every strip.
  """
  from PIL import Image

  gap = FONT_SIZE
  width = LABEL_WIDTH + max(one.shape[1] for one in strips.values()) + gap
  height = gap + sum(one.shape[0] + gap for one in strips.values())
  canvas = Image.new("RGB", (width, height), BACKGROUND)
  pen, font = _pen_and_font(canvas)
  top = gap
  for label, one in strips.items():
    high, wide, _ = one.shape
    left = width - gap - wide
    pen.text((left - gap, top), label, INK, font, anchor="ra")
    canvas.paste(Image.fromarray(one), (left, top))
    top += high + gap
  return np.asarray(canvas)


def _pen_and_font(canvas: Any) -> tuple[Any, Any]:
  """A pen for a picture of PIL, and the letters that it writes."""
  from PIL import ImageDraw, ImageFont

  return ImageDraw.Draw(canvas), ImageFont.load_default(FONT_SIZE)

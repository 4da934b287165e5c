"""Pictures, tables and pages, shown in a notebook.

Without one, pictures and pages are files, and tables are printed.
"""

import html
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.reporting import tables
from pseudovideo.report import drawing, page

HEIGHT = 700
"""Pixels of the frame that a page is shown in."""


def picture(name: str, image: np.ndarray) -> None:
  """Writes NAME.png of a uint8 (H, W, 1 or 3) picture, and shows it."""
  path = pathlib.Path(f"{name}.png")
  drawing.save_png(path, image)
  print(path)
  _show("Image", str(path))


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
  """Shows a table, or prints it."""
  if not _show("Markdown", tables.as_markdown(header, lines)):
    print(tables.as_text(header, lines))


def show_page(report: page.Report, path: str | os.PathLike) -> None:
  """Writes a page, and shows it."""
  report.write(path)
  show_file(path)


def show_file(path: str | os.PathLike) -> None:
  """Says where a page is, and shows it in a frame of its own."""
  print(path)
  text = html.escape(pathlib.Path(path).read_text())
  frame = f'<iframe srcdoc="{text}" width="100%" height="{HEIGHT}"></iframe>'
  _show("HTML", f"<div>{frame}</div>")


def _show(kind: str, content: Any) -> bool:
  """Displays content as an IPython object; False if there is no notebook."""
  if "IPython" not in sys.modules:
    return False
  from IPython import display

  display.display(getattr(display, kind)(content))
  return True

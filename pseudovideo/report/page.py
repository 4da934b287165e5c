"""A page of text, tables, pictures and charts in one HTML file.

The file needs nothing beside it: pictures are PNG inside the page, charts are
SVG, and there are no scripts. Every text given is shown as it is, never read
as HTML.
"""

import base64
import html
import os
import pathlib
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pseudovideo.files import atomic
from pseudovideo.report import chart, style
from pseudovideo.report import drawing as images

_AMOUNT = r"[-+]?[\d.,]+(e[-+]?\d+)?%?"
_NUMBER = re.compile(rf"{_AMOUNT}( (±|of) {_AMOUNT})?|nan|[-+]?inf")

_DASH = "\N{EN DASH}"
WIDE = 8
"""Tables of more columns than that are set smaller."""
_RIGHT = ' class="number"'


class Report:
  """Collects the pieces of a page, in order; `write` makes the file.

  Args:
    title: title of the page.
    subtitle: sentence below the title.
  """

  def __init__(self, title: str, subtitle: str = ""):
    self._title = title
    self._subtitle = subtitle
    self._sections: list[str] = []
    self._body: list[str] = []
    self._charts: list[str] = []

  def section(self, title: str, text: str | None = None) -> None:
    """Begins a section, with a paragraph below its heading."""
    self._sections.append(title)
    number = len(self._sections)
    self._add(f'<h2 id="section-{number}">{html.escape(title)}</h2>')
    if text:
      self._add(f"<p>{html.escape(text)}</p>")

  def table(
    self,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    caption: str | None = None,
  ) -> None:
    """Adds a table; columns of numbers are set to the right.

    Args:
      header: the columns' names.
      rows: cells are texts, numbers (shown with four digits), or None, which
        is shown as a dash.
      caption: text below the table.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    numeric = [
      all(_NUMBER.fullmatch(cell) or cell in ("", _DASH) for cell in column)
      for column in zip(*cells, strict=True)
    ] or [False] * len(header)
    lines = [_table_row("th", header, numeric)]
    lines += [_table_row("td", row, numeric) for row in cells]
    wide = ' class="wide"' if len(header) > WIDE else ""
    self._add(
      f'<figure><div class="scroll"><table{wide}><thead>{lines[0]}</thead>'
      f"<tbody>{''.join(lines[1:])}</tbody></table></div>"
      f"{_caption(caption)}</figure>"
    )

  def figure(self, image: np.ndarray, caption: str) -> None:
    """Adds one uint8 (H, W, 1 or 3) picture."""
    self.figures([(image, caption)])

  def figures(self, pictures: Sequence[tuple[np.ndarray, str]]) -> None:
    """Adds (picture, caption) pairs side by side, where there is room."""
    shown = "".join(
      f"<figure>{_image(image, caption)}{_caption(caption)}</figure>"
      for image, caption in pictures
    )
    self._add(f'<div class="row">{shown}</div>')

  def film_strip(self, videos: np.ndarray, caption: str) -> None:
    """Adds uint8 (N, T, H, W, C) videos, one per row, last frame marked.

    The caption begins with a sign in the colour of the mark.
    """
    image = _image(images.film_strip(videos), caption)
    self._add(
      f'<figure><div class="strip">{image}</div>{_caption(caption)}</figure>'
    )

  def chart(
    self,
    series: chart.Series,
    xlabel: str,
    ylabel: str,
    caption: str | None = None,
    *,
    log: bool = False,
  ) -> None:
    """Adds a line chart; charts in succession share a row.

    Args:
      series: label -> (x, y); see `chart.line_chart`.
      xlabel: name of the x axis.
      ylabel: name of the y axis, shown as the chart's title.
      caption: text below the chart.
      log: logarithmic y axis.
    """
    drawing = chart.line_chart(series, xlabel, ylabel, log=log)
    legend = chart.legend(series, log=log) if len(series) > 1 else ""
    self._charts.append(
      f"<figure>{drawing}{legend}{_caption(caption)}</figure>"
    )

  def key_values(self, values: Mapping[str, Any]) -> None:
    """Adds a list of names and values."""
    items = "".join(
      f"<dt>{html.escape(str(name))}</dt><dd>{html.escape(_text(value))}</dd>"
      for name, value in values.items()
    )
    self._add(f"<dl>{items}</dl>")

  def links(self, label: str, pages: Mapping[str, str]) -> None:
    """Adds links in one paragraph, by their titles; nothing if there are none.

    Args:
      label: text before the links.
      pages: title -> path, from the folder of this page.
    """
    if not pages:
      return
    items = ", ".join(
      f'<a href="{html.escape(urllib.parse.quote(path))}">'
      f"{html.escape(title)}</a>"
      for title, path in pages.items()
    )
    self._add(f"<p>{html.escape(label)}: {items}</p>")

  def details(self, summary: str, text: str) -> None:
    """Adds a text in fixed width that opens on clicking its summary."""
    self._add(
      f"<details><summary>{html.escape(summary)}</summary>"
      f"<pre>{html.escape(text)}</pre></details>"
    )

  def render(self) -> str:
    """Returns the page as HTML."""
    self._end_charts()
    title = html.escape(self._title)
    subtitle = f"<p>{html.escape(self._subtitle)}</p>" if self._subtitle else ""
    return (
      '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
      '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
      f"<title>{title}</title>\n<style>{style.CSS}</style></head>\n<body>\n"
      f"<header><h1>{title}</h1>{subtitle}</header>\n{self._contents()}"
      f"<main>\n{chr(10).join(self._body)}\n</main>\n</body></html>\n"
    )

  def write(self, path: str | os.PathLike) -> pathlib.Path:
    """Writes the page; at no time is half a file there.

    Returns:
      The path.
    """
    path = pathlib.Path(path)
    with atomic.replacing(path) as part:
      # Names of files need not be Unicode.
      part.write_text(
        self.render(), encoding="utf-8", errors="backslashreplace"
      )
    return path

  def _add(self, piece: str) -> None:
    self._end_charts()
    self._body.append(piece)

  def _end_charts(self) -> None:
    if self._charts:
      self._body.append(f'<div class="charts">{"".join(self._charts)}</div>')
      self._charts = []

  def _contents(self) -> str:
    if len(self._sections) < 2:
      return ""
    links = "".join(
      f'<li><a href="#section-{number}">{html.escape(title)}</a></li>'
      for number, title in enumerate(self._sections, 1)
    )
    return f"<nav><ul>{links}</ul></nav>\n"


def _text(value: Any) -> str:
  if value is None:
    return _DASH
  if isinstance(value, float | np.floating):
    value = float(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
  if isinstance(value, int | np.integer) and not isinstance(value, bool):
    return f"{value:,}"
  return str(value)


def _table_row(tag: str, cells: Sequence[str], numeric: Sequence[bool]) -> str:
  parts = [
    f"<{tag}{_RIGHT * right}>{html.escape(cell)}</{tag}>"
    for cell, right in zip(cells, numeric, strict=True)
  ]
  return f"<tr>{''.join(parts)}</tr>"


def _caption(text: str | None) -> str:
  return f"<figcaption>{html.escape(text)}</figcaption>" if text else ""


def _image(image: np.ndarray, caption: str) -> str:
  height, width = image.shape[:2]
  data = base64.b64encode(images.png_bytes(image)).decode()
  return (
    f'<img width="{width}" height="{height}" alt="{html.escape(caption)}" '
    f'src="data:image/png;base64,{data}">'
  )

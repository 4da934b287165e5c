"""A table as it is printed: all its columns, and few of them for a page."""

import dataclasses
from collections.abc import Iterable, Sequence

from experiments.reporting import tables

Header = Sequence[str]
Lines = Sequence[Sequence[str]]

PAGE_COLUMNS = 8
"""A page of docs shows no more."""


@dataclasses.dataclass(frozen=True)
class Sheet:
  """A table with its notes.

  Attributes:
    title: a line without a full stop.
    header: names of the columns, the first one empty or of the labels.
    lines: cells of the rows.
    notes: paragraphs that belong below.
    not_run: labels of rows without results.
    page: header and lines that a page shows; None: the names in `shown`.
    shown: names of the columns that a page shows; empty: all.
  """

  title: str
  header: Header
  lines: Lines
  notes: Sequence[str] = ()
  not_run: Sequence[str] = ()
  page: tuple[Header, Lines] | None = None
  shown: Sequence[str] = ()

  def narrow(self) -> tuple[Header, Lines]:
    """Header and lines for a page."""
    if self.page is not None:
      return self.page
    if not self.shown:
      return self.header, self.lines
    places = [0, *(list(self.header).index(name) for name in self.shown)]
    return (
      [self.header[i] for i in places],
      [[line[i] for i in places] for line in self.lines],
    )


def markdown(header: Header, lines: Lines, not_run: Iterable[str] = ()) -> str:
  """A table, and below it the rows that were not run in one line."""
  text = tables.as_markdown(*tables.without_dashes(header, lines))
  left = "; ".join(not_run)
  return f"{text}\n\nNot run: {left}." if left else text

"""Tables in Markdown pages: where they stand, and files full of them."""

import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping

from experiments.publishing import (
  address,
  benchmarks,
  claims,
  origins,
  scores,
  sheets,
  studies,
  survival,
)
from pseudovideo import errors
from pseudovideo.runs import results

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = {
  **scores.TABLES,
  **studies.TABLES,
  **survival.TABLES,
  **origins.TABLES,
}
BENCHMARKS = benchmarks.TABLES
TABLES: Mapping[str, Callable[[], sheets.Sheet]] = {
  **RESULTS,
  **BENCHMARKS,
  **claims.TABLES,
  **address.TABLES,
}
_MARKED = re.compile(r"<!-- table: (\w+) -->.*?<!-- end -->", flags=re.S)
_LINK = re.compile(r"\]\(((?:results|colabs|docs)/[^)]+)\)")
_BADGES = re.compile(r"<!-- badges -->.*?<!-- end -->", flags=re.S)


def marked() -> list[pathlib.Path]:
  """The pages that have tables between marks."""
  return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(path: pathlib.Path) -> str:
  """The text of a page with every table written between its marks.

  A table stands between `<!-- table: NAME -->` and `<!-- end -->`, with its
  notes below it. A note of several tables stands below the first. A table whose
  results are damaged stays as it is.
  """
  text = path.read_text()
  names = re.findall(r"<!-- table: (\w+) -->", text)
  made = {name: _made(name, TABLES[name]) for name in names}
  said: set[str] = set()

  def fill(match: re.Match[str]) -> str:
    name = match.group(1)
    sheet = made[name]
    if sheet is None:
      return match.group(0)
    parts = [sheets.markdown(*sheet.narrow(), sheet.not_run)]
    parts += [note for note in sheet.notes if note not in said]
    said.update(sheet.notes)
    body = _relative("\n\n".join(parts), path.parent)
    return f"<!-- table: {name} -->\n\n{body}\n\n<!-- end -->"

  shown = address.badges(address.of_checkout())
  line = f"<!-- badges -->{shown}<!-- end -->"
  return _BADGES.sub(lambda match: line, _MARKED.sub(fill, text))


def notes(made: Iterable[sheets.Sheet]) -> list[str]:
  """The notes of some tables in their order, each once."""
  return list(dict.fromkeys(note for one in made for note in one.notes))


def whole(
  title: str, about: str, tables: Mapping[str, Callable[[], sheets.Sheet]]
) -> str:
  """A page with all columns of some tables."""
  tried = [_made(name, make) for name, make in tables.items()]
  made = [sheet for sheet in tried if sheet is not None]
  parts = [f"# {title}", about]
  for sheet in made:
    parts += [
      f"## {sheet.title}",
      sheets.markdown(sheet.header, sheet.lines, sheet.not_run),
    ]
  return "\n\n".join([*parts, "## Notes", *notes(made)]) + "\n"


def _made(name: str, make: Callable[[], sheets.Sheet]) -> sheets.Sheet | None:
  """A table; None, with a sentence, if its results are damaged."""
  try:
    with results.from_file(f"of the table {name}"):
      return make()
  except (errors.UserError, StopIteration) as error:
    print(f"The table {name} is left out: {error}", file=sys.stderr)
    return None


def generated() -> dict[pathlib.Path, str]:
  """The text of every file that holds tables."""
  folder = ROOT / "results"
  return {
    **{path: filled(path) for path in marked()},
    folder / "README.md": whole(
      "All results",
      "Every published table with all its columns, made from the files beside "
      "it by `python -m experiments.readme`. Rows marked † are controls that "
      "the paper does not have.",
      RESULTS,
    ),
    folder / "benchmarks" / "README.md": whole(
      "All benchmarks",
      "Every benchmark with all its columns, made from the files beside it by "
      "`python -m experiments.readme`.",
      BENCHMARKS,
    ),
  }


def _relative(text: str, folder: pathlib.Path) -> str:
  """Links from the root as they are from a folder."""
  return _LINK.sub(
    lambda match: f"]({os.path.relpath(ROOT / match.group(1), folder)})", text
  )

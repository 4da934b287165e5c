"""A table from results files: the paper's score, ours, and what they cost."""

import dataclasses
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.reporting import circumstances, columns, instruments, tables
from experiments.rows import deviations
from experiments.rows.base import Job, Row, Table
from pseudovideo import errors
from pseudovideo.runs import results, trained_on

Record = Mapping[str, Any]
PAPER_NAMES = {
  "cifar10": "CIFAR-10",
  "celeb_a": "CelebA",
  "kinetics": "Kinetics-600",
  "mnist": "binarized MNIST",
}
FORMATS = {
  "text": tables.as_text,
  "md": tables.as_markdown,
  "csv": tables.as_csv,
}
CONTROL_MARK = "\N{DAGGER}"


@dataclasses.dataclass(frozen=True)
class Scored:
  """A finished run and what its results file holds."""

  job: Job
  record: Record


def collect(
  jobs: Iterable[Job], path: Callable[[Job], pathlib.Path]
) -> list[Scored]:
  """The runs whose results are there.

  Args:
    jobs: runs in the order of the table.
    path: a run -> its results file.

  Returns:
    Those whose file can be read; others are named on standard error.

  Raises:
    UserError: they cannot stand in one table.
  """
  found = []
  for job in jobs:
    try:
      if not path(job).exists():
        continue
      with results.from_file(path(job)):
        record = instruments.named(results.read(path(job)))
        one = Scored(job, record)
        _rehearse(one)
    except (errors.UserError, PermissionError) as error:
      print(f"{job.title} is left out: {error}", file=sys.stderr)
    else:
      found.append(one)
  tables.check_comparable({s.job.name: s.record for s in found})
  return found


def _rehearse(one: Scored) -> None:
  """Makes of one record what tables and their notes make of several.

  What fails here would fail in a table, and take the other rows with it.
  """
  records = [one.record]
  if not one.record["metrics"]["generated"]:
    raise errors.UserError("There are no scores of generated images.")
  tables.as_text(*tables.score_table({one.job.name: one.record}))
  for cell in columns.MEASURED.values():
    cell(records)
  columns.costs(records)
  circumstances.of(records)
  circumstances.about_models(records)
  _changes(one)


def report(
  table: Table,
  rows: Sequence[Row],
  dataset: str,
  scored: Sequence[Scored],
  style: str = "text",
) -> str:
  """Title, table and notes.

  Args:
    table: the table.
    rows: its rows that are shown; controls are put last.
    dataset: data set whose paper scores are shown.
    scored: runs with results, see `collect`.
    style: a key of `FORMATS`; `csv` is the table alone, with all rows.
  """
  if style == "csv":
    return tables.as_csv(*score_table(table, rows, dataset, scored))
  shown = with_results(rows, scored) or rows
  cells = score_table(table, shown, dataset, scored)
  parts = [FORMATS[style](*tables.without_dashes(*cells))]
  if not scored:
    parts.append(
      "Nothing has been run here; the scores are the paper's. "
      "--results=results shows published runs."
    )
  elif left := not_run(rows, dataset, scored):
    parts.append(f"Not run: {'; '.join(left)}.")
  parts += notes(table, shown, scored)
  return "\n\n".join(parts if style == "md" else [table.title, *parts])


def with_results(rows: Iterable[Row], scored: Iterable[Scored]) -> list[Row]:
  """The rows that were run."""
  ran = {one.job.row.name for one in scored}
  return [row for row in rows if row.name in ran]


def not_run(
  rows: Iterable[Row], dataset: str, scored: Iterable[Scored]
) -> list[str]:
  """The labels of rows without results, with the paper's score."""
  ran = {one.job.row.name for one in scored}
  return [
    f"{row.label} (paper {row.paper[dataset]:.2f})"
    if dataset in row.paper
    else row.label
    for row in rows
    if row.name not in ran
  ]


def score_table(
  table: Table, rows: Sequence[Row], dataset: str, scored: Sequence[Scored]
) -> tuple[list[str], list[list[str]]]:
  """Header and rows, the held-out data last."""
  records = [s.record for s in scored]
  cells_of = columns.of_table(table, records)
  column, paper = _paper_column(table, rows, dataset)
  header = [
    "", column, *cells_of,
    "images", "evaluations", "parameters", "steps", "seconds", "seeds",
  ]  # fmt: skip
  lines = []
  for row in sorted(rows, key=lambda row: row.is_control):
    own = [s.record for s in scored if s.job.row is row]
    lines.append(
      [
        _label(row),
        paper(row),
        *(cell(own) for cell in cells_of.values()),
        columns.images(own, "generated"),
        *columns.costs(own),
      ]
    )
  first = records[:1]
  real = [columns.score(first, "real", name) for name in cells_of]
  real.append(columns.images(first, "real"))
  nothing = tables.NOTHING
  lines.append(["held-out data", nothing, *real, *[nothing] * 5])
  return header, lines


def page_table(
  table: Table,
  rows: Sequence[Row],
  dataset: str,
  scored: Sequence[Scored],
  path: Callable[[Job], str],
) -> tuple[list[str], list[list[str]]]:
  """Header and rows for a page: one score, its cost, and where it is from.

  Args:
    table: the table.
    rows: its rows that have results; controls are put last.
    dataset: data set whose paper scores are shown.
    scored: runs with results, see `collect`.
    path: a run -> its results file, as it is linked.
  """
  records = [s.record for s in scored]
  cells_of = columns.of_table(table, records)
  name = _shown_score(table, cells_of, records)
  column, paper = _paper_column(table, rows, dataset)
  # Autoencoders evaluate their network once.
  also = "PSNR" if "PSNR" in cells_of and name != "PSNR" else "evaluations"
  header = [
    "", column, name, "held-out", "seeds", "updates", also, "results"
  ]  # fmt: skip
  lines = []
  for row in sorted(rows, key=lambda row: row.is_control):
    own = [s for s in scored if s.job.row is row]
    of_row = [s.record for s in own]
    evaluations, _, steps, _, seeds = columns.costs(of_row)
    lines.append(
      [
        _label(row),
        paper(row),
        cells_of[name](of_row),
        columns.score(records[:1], "real", name),
        seeds,
        steps,
        cells_of["PSNR"](of_row) if also == "PSNR" else evaluations,
        f"[json]({path(own[0].job)})",
      ]
    )
  return header, lines


def _shown_score(
  table: Table, cells_of: Mapping[str, columns.Cell], records: Sequence[Record]
) -> str:
  """The paper's own score or what stands in, or else the one to quote."""
  filled = [
    n for n, cell in cells_of.items() if cell(records) != tables.NOTHING
  ]
  if filled[0].partition("-")[0] == table.score:
    return filled[0]
  quoted = instruments.headline(records[0]["metrics"]["generated"])
  return quoted if quoted in filled else filled[0]


def _label(row: Row) -> str:
  return f"{row.label} {CONTROL_MARK}" if row.is_control else row.label


def _paper_column(
  table: Table, rows: Sequence[Row], dataset: str
) -> tuple[str, Callable[[Row], str]]:
  """The title of the paper's column, and a row -> its cell."""
  title, shown = f"paper {table.score}", dataset
  if not any(dataset in row.paper for row in rows):
    shown = table.fallback_dataset
    title = f"paper, {PAPER_NAMES[shown]} {table.score}"
  return (
    title,
    lambda row: (
      f"{row.paper[shown]:.2f}" if shown in row.paper else tables.NOTHING
    ),
  )


def notes(
  table: Table, rows: Sequence[Row], scored: Sequence[Scored]
) -> list[str]:
  """Paragraphs below the table: words, networks, definitions, devices."""
  records = [s.record for s in scored]
  found = []
  labels = ", ".join(row.label for row in rows)
  said = [
    f"{word}: {meaning}"
    for word, meaning in table.words.items()
    if re.search(rf"\b{word}\b", labels)
  ]
  if said:
    found.append(f"Rows. {'; '.join(said)}.")
  if (
    records
    and table.score == "FID"
    and not any(table.score in r["metrics"]["generated"] for r in records)
  ):
    found.append(
      f"There is no {table.score}: the Inception weights of 2015-12-05 were "
      "not on the machine that scored. No other score here can be compared "
      f"with the paper's {table.score}."
    )
  found += circumstances.about_scores(records)
  if any(row.is_control for row in rows):
    found.append(f"{CONTROL_MARK} A control that is not in the paper.")
  found += circumstances.about_models(records)
  if records:
    found.append(circumstances.of_runs(records))
  return found + [note for one in scored for note in _changes(one)]


def _changes(one: Scored) -> list[str]:
  """Paragraphs on what is no longer as it was."""
  found = []
  changed = deviations.of_results(one.job, one.record)
  if changed:
    found.append(
      f"The config of {one.job.name} has changed since: {'; '.join(changed)}."
    )
  found += [
    f"{one.job.name}: {said}"
    for said in trained_on.sentences(one.record.get("data", {}))
  ]
  return found

"""Tables of scores: one row per results file, and the held-out data below."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pseudovideo import errors

Record = Mapping[str, Any]
NOTHING = "\N{EN DASH}"


def score_table(
  records: Mapping[str, Record],
) -> tuple[list[str], list[list[str]]]:
  """Header and rows.

  Args:
    records: label of a row -> the content of its results.json. The last row,
      the held-out data, is taken from the first.

  Raises:
    UserError: the records cannot stand in one table, see `check_comparable`.
  """
  check_comparable(records)
  first = next(iter(records.values()))
  header = [
    "", *first["metrics"]["generated"],
    "images", "parameters", "steps", "images seen", "seconds",
  ]  # fmt: skip
  rows = [
    [
      label,
      *_values(record["metrics"]["generated"]),
      f"{record['num_parameters']:,}",
      f"{record['step']:,}",
      f"{record['images_seen']:,}",
      f"{record['wall_seconds']['train']:.0f}",
    ]
    for label, record in records.items()
  ]
  rows.append(
    ["held-out data", *_values(first["metrics"]["real"]), *[NOTHING] * 4]
  )
  return header, rows


def _values(metrics: Mapping[str, Record]) -> list[str]:
  """The scores of one row, and the number of images."""
  numbers = {metric["num_samples"] for metric in metrics.values()}
  return [
    *(f"{metric['value']:.3f}" for metric in metrics.values()),
    "/".join(f"{number:,}" for number in sorted(numbers)),
  ]


def check_comparable(records: Mapping[str, Record]) -> None:
  """Refuses rows that cannot stand in one table.

  Args:
    records: name of a row -> the content of its results.json.

  Raises:
    UserError: they were scored by different networks, or on different data, as
      far as they say on which.
  """
  rows = records.values()
  networks = [{n["weights_hash"] for n in feature_networks(r)} for r in rows]
  known = (record.get("data", {}).get("fingerprint") for record in rows)
  data = [fingerprint for fingerprint in known if fingerprint is not None]
  for what, values in (
    ("by different networks", networks),
    ("on different data", data),
  ):
    if any(value != values[0] for value in values):
      raise errors.UserError(
        f"The rows {', '.join(records)} were scored {what} and cannot stand in "
        "one table; evaluate them again on one machine."
      )


def feature_networks(record: Record) -> list[Record]:
  """The networks whose features a record's scores are made of, each once."""
  networks = {
    metric["feature_network"]["weights_hash"]: metric["feature_network"]
    for metric in record["metrics"]["generated"].values()
    if "feature_network" in metric
  }
  return list(networks.values())


def without_dashes(
  header: Sequence[str], lines: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
  """Leaves out the columns in which every cell is a dash."""
  places = [
    i
    for i in range(len(header))
    if i == 0 or any(line[i] != NOTHING for line in lines)
  ]
  return (
    [header[i] for i in places],
    [[line[i] for i in places] for line in lines],
  )


def as_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A table with aligned columns."""
  lines = [header, *rows]
  widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
  return "\n".join(
    "  ".join(
      cell.ljust(width) if i == 0 else cell.rjust(width)
      for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    ).rstrip()
    for line in lines
  )


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Comma-separated values, dashes left empty, without a last newline."""
  text = io.StringIO()
  lines = [["" if cell == NOTHING else cell for cell in row] for row in rows]
  csv.writer(text, lineterminator="\n").writerows([header, *lines])
  return text.getvalue().rstrip("\n")


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A Markdown table, columns of numbers to the right."""
  columns = list(zip(*rows, strict=True)) or [()] * len(header)
  rule = ["---"] + [
    "---:" if all(map(_is_number, column)) else "---" for column in columns[1:]
  ]
  return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def _is_number(cell: str) -> bool:
  """True if a cell holds a number, with its spread or unit, or a dash."""
  return not cell or cell == NOTHING or cell.lstrip("-")[:1].isdigit()

"""Tables of scores: one row per results file, and the held-out data below."""

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
    records: label of a row -> what its results.json holds. The last row, the
      held-out data, is taken from the first.

  Raises:
    UserError: the rows were scored by different networks.
  """
  first = next(iter(records.values()))
  networks = {
    feature_network(record)["weights_hash"] for record in records.values()
  }
  if len(networks) > 1:
    raise errors.UserError(
      f"The rows {', '.join(records)} were scored by different networks and "
      "cannot stand in one table; evaluate them again on one machine."
    )
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


def feature_network(record: Record) -> Record:
  """The network whose features a record's scores are made of."""
  return next(
    metric["feature_network"]
    for metric in record["metrics"]["generated"].values()
    if "feature_network" in metric
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


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A Markdown table, numbers to the right."""
  rule = ["---", *["---:"] * (len(header) - 1)]
  return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))

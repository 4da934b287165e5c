"""Table, results.json and page of `experiments.sampling_budget`."""

import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.studies.sampling_budget.summary import (
  Row,
  Summary,
  is_enough,
  standard_error,
)
from pseudovideo import runs
from pseudovideo.report import chart, drawing, page
from pseudovideo.report import run as run_report
from pseudovideo.runs import results

XLABEL = "log10 of network evaluations"
RULE = (
  "A setting is good enough if its mean score over the sampling seeds is "
  "better than the reference's, or worse by at most two standard errors of "
  "the difference, 2 sqrt(se^2 + se_reference^2)."
)


def table(
  summary: Summary, rows: Iterable[Row], full: int
) -> tuple[list[str], list[list[str]]]:
  """Header and rows, sorted by evaluations.

  Args:
    summary: summary of the sweep.
    rows: all or some of its rows.
    full: number of evaluations that "times fewer" counts from.
  """
  names = list(summary.reference.points[0]["metrics"]["generated"])
  header = ["", "evaluations", "times fewer", *names, "seconds", "enough"]
  ordered = sorted(rows, key=lambda row: (row.evaluations, row.setting.label))
  return header, [
    [
      row.setting.label,
      f"{row.evaluations:,}",
      f"{full / row.evaluations:.3g}",
      *(_spread(row, name) for name in names),
      f"{row.seconds:.1f}",
      verdict(summary, row),
    ]
    for row in ordered
  ]


def verdict(summary: Summary, row: Row) -> str:
  """A word that says if a row is good enough, and if it is the answer."""
  enough = is_enough(row, summary.reference, summary.better)
  word = "yes" if enough else "no"
  if row == summary.reference:
    word = "reference"
  chosen = [summary.chosen, *summary.last_chosen.values()]
  return f"{word}, smallest" if row in chosen else word


def record(
  run: runs.Run, summary: Summary, seeds: Sequence[int]
) -> dict[str, Any]:
  """The content of results.json; `generated` are the chosen one's scores."""
  chosen, reference = summary.chosen, summary.reference
  return {
    "title": f"Sampling budget of {run.config.title}",
    "metrics": {
      "generated": _means(chosen),
      "reference": _means(reference),
      "real": reference.points[0]["metrics"]["real"],
    },
    "seeds": {"train": run.config.train.seed, "sample": list(seeds)},
    "network_evaluations": chosen.evaluations,
    "wall_seconds": {
      "sample": chosen.seconds,
      "sample_reference": reference.seconds,
    },
    "rule": RULE,
    "metric": summary.metric,
    "full_evaluations": summary.full,
    "reference_evaluations": reference.evaluations,
    "strict_evaluations": summary.chosen_strictly.evaluations,
    "answers": summary.sentences(),
    "settings": [_json(summary, row) for row in summary.rows],
    "last_stage": [_json(summary, row) for row in summary.last],
    **results.origin(run),
  }


def write_page(
  path: pathlib.Path,
  run: runs.Run,
  summary: Summary,
  samples: Mapping[str, np.ndarray],
) -> pathlib.Path:
  """The page with charts, tables and samples.

  Args:
    path: path of the page.
    run: the run that was sampled.
    summary: summary of the sweep.
    samples: caption -> (N, H, W, C) uint8.
  """
  report = page.Report(
    f"Sampling budget of {run.config.title}", summary.sentences()[0]
  )
  report.section("Answers", f"{' '.join(summary.sentences())} {RULE}")
  for caption, curves in charts(summary).items():
    report.chart(curves, XLABEL, summary.metric, caption, log=True)
  report.section("Samples", "The same seed, as they come, none picked.")
  report.figures([(drawing.grid(a), text) for text, a in samples.items()])
  report.section("All settings")
  caption = (
    f"Mean and standard error over {len(summary.reference.values)} sampling "
    "seeds. Seconds are the fastest seed's."
  )
  report.table(*table(summary, summary.rows, summary.full), caption=caption)
  if summary.last:
    report.section(
      "The last stage",
      "Earlier frames are the reference's; only the last stage is drawn anew, "
      "and its evaluations alone are counted.",
    )
    report.table(*table(summary, summary.last, summary.steps), caption=caption)
  run_report.add_config(report, run.config.raw)
  return report.write(path)


def charts(summary: Summary) -> dict[str, chart.Series]:
  """Caption -> curves: equal steps, falling steps, and the last stage's.

  One with six colours for all of them would be crowded.
  """
  equal, falling = [], []
  for row in summary.rows:
    (falling if "/" in row.setting.respacing else equal).append(row)
  found = {
    "The same number of steps in every stage.": equal,
    "Fewer steps in later stages.": falling,
    "Steps of the last stage, after the reference's frames.": summary.last,
  }
  return {
    caption: _curves(rows, summary.reference)
    for caption, rows in found.items()
    if rows
  }


def _curves(rows: Sequence[Row], reference: Row) -> chart.Series:
  """Method -> scores against log10 of evaluations; the reference is level."""
  methods = dict.fromkeys(row.setting.method for row in rows)
  curves = {}
  for method in sorted(methods):
    mine = [row for row in rows if row.setting.method == method]
    mine = sorted(mine, key=lambda row: row.evaluations)
    x = [math.log10(row.evaluations) for row in mine]
    curves[method] = (x, [row.mean for row in mine])
  ends = [math.log10(row.evaluations) for row in rows]
  level = [reference.mean] * 2
  return curves | {"reference": ([min(ends), max(ends)], level)}


def _spread(row: Row, name: str) -> str:
  """Mean and standard error over seeds, as text."""
  values = _values(row, name)
  return (
    f"{np.mean(values):.3f} \N{PLUS-MINUS SIGN} {standard_error(values):.3f}"
  )


def _values(row: Row, name: str) -> list[float]:
  return [p["metrics"]["generated"][name]["value"] for p in row.points]


def _means(row: Row) -> dict[str, Any]:
  """Records of the first seed, with means and errors over seeds."""
  return {
    name: about
    | {
      "value": float(np.mean(_values(row, name))),
      "std": None,
      "standard_error": standard_error(_values(row, name)),
      "values": _values(row, name),
    }
    for name, about in row.points[0]["metrics"]["generated"].items()
  }


def _json(summary: Summary, row: Row) -> dict[str, Any]:
  names = row.points[0]["metrics"]["generated"]
  return {
    "label": row.setting.label,
    "method": row.setting.method,
    "respacing": row.setting.respacing,
    "given": row.setting.earlier,
    "evaluations": row.evaluations,
    "verdict": verdict(summary, row),
    "seconds": row.seconds,
    "values": {name: _values(row, name) for name in names},
  }

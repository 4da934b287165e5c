"""The report of one training run, and the parts that it is made of.

Each `add_...` writes one section of a page, so that a page about two runs
calls these functions too.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pseudovideo.report import drawing, page

FILE = "report.html"

Row = Mapping[str, Any]

Scores = Mapping[str, Mapping[str, Row]]
"""Label of a row -> metric -> record."""

COUNTERS = ("images_seen", "seconds")
"""Logged names that only grow with the steps, and have no chart."""

HASH_DIGITS = 12
"""So many digits of a hash are shown."""


def run_report(
  workdir: str | os.PathLike,
  *,
  title: str,
  pseudo_videos: np.ndarray | None = None,
  generated_videos: np.ndarray | None = None,
  samples: np.ndarray | None = None,
  real: np.ndarray | None = None,
  autoencoder: bool = False,
  metrics: Sequence[Row] = (),
  results: Mapping[str, Any] | None = None,
  config: Mapping[str, Any] | None = None,
) -> pathlib.Path:
  """Writes `workdir/report.html`; what is not given is left out.

  Args:
    workdir: folder of the run.
    title: name of the run.
    pseudo_videos: uint8 (N, T, H, W, C), made of training images.
    generated_videos: uint8 (N, T, H, W, C), from the model.
    samples: uint8 (N, H, W, C), last frames from the model; 64 or 100 of them
      make a grid that a person can look through.
    real: uint8 (N, H, W, C), held-out images; as many as there are samples
      are shown.
    autoencoder: whether `samples` are reconstructions of `real`.
    metrics: rows of `metric_log.read_metrics`.
    results: contents of `results.json`; see `add_results`.
    config: plain nested dict.

  Returns:
    The path of the page.
  """
  report = page.Report(title, "One training run, in pictures and numbers.")
  add_videos(report, pseudo_videos, generated_videos)
  add_samples(report, samples, real, autoencoder=autoencoder)
  if results:
    add_results(report, results)
  add_curves(report, {"": metrics})
  if config:
    add_config(report, config)
  return report.write(pathlib.Path(workdir, FILE))


def add_videos(
  report: page.Report,
  pseudo_videos: np.ndarray | None,
  generated_videos: np.ndarray | None,
) -> None:
  """Adds film strips of the training data and of the model, if any."""
  if pseudo_videos is not None:
    report.section("Pseudo videos", "What the model is trained on.")
    report.film_strip(
      pseudo_videos,
      "Each row is one training image: from its most corrupted version on the "
      "left to the image itself, the marked last frame.",
    )
  if generated_videos is not None:
    report.section(
      "Generated videos",
      "What the model makes, frame after frame, from left to right.",
    )
    report.film_strip(
      generated_videos,
      "Each row is one video from the model. Only the marked last frame "
      "counts as a sample.",
    )


def add_samples(
  report: page.Report,
  samples: np.ndarray | None,
  real: np.ndarray | None,
  *,
  autoencoder: bool = False,
) -> None:
  """Adds grids of samples and of as many real images, side by side."""
  if samples is None:
    return
  title, made = "Samples", "Generated"
  if autoencoder:
    title, made = "Reconstructions", "Reconstructed"
  pictures = [(drawing.grid(samples), f"{made} ({len(samples)}).")]
  if real is not None:
    real = real[: len(samples)]
    pictures.append((drawing.grid(real), f"Real, held out ({len(real)})."))
  report.section(title, "Last frames as they come, none picked.")
  report.figures(pictures)


def add_curves(
  report: page.Report,
  runs: Mapping[str, Sequence[Row]],
  title: str = "Curves",
) -> None:
  """Adds a chart for each logged name, with a line for each run and split.

  A line has one colour in all charts.

  Args:
    report: the page.
    runs: label of the run (which may be empty) -> rows of
      `metric_log.read_metrics`.
    title: title of the section.
  """
  logged = [
    (f"{label} {_words(row['split'])}".strip(), row)
    for label, rows in runs.items()
    for row in rows
  ]
  lines = dict.fromkeys(line for line, _ in logged)
  names: dict[str, dict[str, tuple[list, list]]] = {}
  for line, row in logged:
    for name in row.keys() - {"step", "split", *COUNTERS}:
      series = names.setdefault(name, {line: ([], []) for line in lines})
      series[line][0].append(row["step"])
      series[line][1].append(row[name])
  if not names:
    return
  report.section(title)
  for name in sorted(names, key=lambda name: (name != "loss", name)):
    report.chart(names[name], "step", _words(name), log=_is_steep(names[name]))


def add_results(report: page.Report, results: Mapping[str, Any]) -> None:
  """Adds the scores of a run, their definitions, and their origin.

  Args:
    report: the page.
    results: contents of `results.json`. `metrics` is the result of
      `evaluation.scoring.score`: row ("generated", "real") -> metric -> record.
      All other entries say where the numbers come from.
  """
  report.section("Scores")
  rows = results.get("metrics", {})
  if rows:
    add_scores(report, rows)
    add_definitions(report, rows)
  if equal := results.get("equal_numbers"):
    add_equal_numbers(report, equal)
  if left_out := results.get("left_out"):
    report.table(["left out", "why"], list(left_out.items()))
  if "bound" in results:
    add_bound(report, results["bound"])
  if "reconstruction" in results:
    add_reconstruction(report, results["reconstruction"])
  report.key_values(
    {
      _words(name): value
      for name, value in results.items()
      if not isinstance(value, dict | list)
    }
  )
  report.details("results.json", json.dumps(results, indent=2, default=str))


def add_scores(report: page.Report, rows: Scores) -> None:
  """Adds a line for each metric: its value and N in each row, side by side.

  Args:
    report: the page.
    rows: label of the row -> metric -> record.
  """
  header = ["metric", "better"]
  for label in rows:
    header += [_words(label), "N"]
  lines = []
  for name in _metrics(rows):
    first = _first(rows, name)
    line = [name, first.get("better")]
    for scores in rows.values():
      record = scores.get(name, {})
      line += [_value(record), record.get("num_samples")]
    lines.append([*line, _reference(first)])
  report.table([*header, "reference"], lines, _warnings(rows) or None)


def add_equal_numbers(report: page.Report, rows: Scores) -> None:
  """Adds distances to training and to held-out images, as many of either.

  Args:
    report: the page.
    rows: result of `evaluation.equal_numbers.rows`.
  """
  names = _metrics(rows)
  if not names:
    return
  report.section(
    "Equal numbers of images",
    "Distances between as many images of either set, since most fall with the "
    "number of images. A model that fits its training images too closely is "
    "nearer to them than to held-out ones. Copies show in the scores above: "
    "their distance to the nearest of all training images is far below that of "
    "held-out data.",
  )
  report.table(
    ["metric", "better", *map(_words, rows), "N"],
    [
      [
        name,
        _first(rows, name).get("better"),
        *(_value(scores.get(name, {})) for scores in rows.values()),
        _first(rows, name).get("num_samples"),
      ]
      for name in names
    ],
    _warnings(rows) or None,
  )


def _warnings(rows: Scores) -> str:
  """The sentences that belong beside some scores, each once."""
  found = [
    record["warning"]
    for scores in rows.values()
    for record in scores.values()
    if record.get("warning")
  ]
  return " ".join(dict.fromkeys(found))


def add_definitions(report: page.Report, rows: Scores) -> None:
  """Adds the definition of each metric, and its feature network."""
  lines = []
  for name in _metrics(rows):
    record = _first(rows, name)
    network = record.get("feature_network") or {}
    weights = network.get("weights_hash", "")[:HASH_DIGITS] or None
    lines.append([name, record.get("definition"), network.get("name"), weights])
  report.table(
    ["metric", "definition", "network", "weights hash"],
    lines,
    "What the metrics are. The hash identifies the network's weights.",
  )


def add_bound(report: page.Report, bound: Mapping[str, Any]) -> None:
  """Adds the variational bound of an HVAE, and the cost of each level.

  Args:
    report: the page.
    bound: result of `elbo.measure`.
  """
  levels = bound.get("levels", [])
  report.chart(
    {"nats": (list(range(1, len(levels) + 1)), levels)},
    "level t",
    "cost of x_t, nats",
  )
  report.key_values(
    {_words(k): v for k, v in bound.items() if not isinstance(v, list)}
  )


def add_reconstruction(report: page.Report, found: Mapping[str, Any]) -> None:
  """Adds the errors of reconstruction, and the use of the codebook.

  Args:
    report: the page.
    found: result of `reconstruction.measure`.
  """
  report.table(
    ["metric of pairs", "better", "value", "definition"],
    [
      [name, row.get("better"), _value(row), row.get("definition")]
      for name, row in found.get("metrics", {}).items()
    ],
  )
  if "codebook" in found:
    book = found["codebook"]
    report.key_values({_words(name): value for name, value in book.items()})
  for name, label in {
    "psnr_by_frame": "frame",
    "ssim_by_position": "place in a group",
  }.items():
    values = found.get("videos", {}).get(name)
    if values:
      heads = [label, *(str(i) for i in range(1, len(values) + 1))]
      report.table(heads, [[_words(name), *values]])


def add_config(
  report: page.Report, config: Mapping[str, Any], title: str = "Config"
) -> None:
  """Adds the config as JSON, folded away."""
  report.section(title)
  report.details("Show all fields", json.dumps(config, indent=2, default=str))


def _words(name: str) -> str:
  return name.replace("_", " ")


def _metrics(rows: Scores) -> list[str]:
  """Names of all metrics, in the order in which they first appear."""
  return list(
    dict.fromkeys(name for scores in rows.values() for name in scores)
  )


def _first(rows: Scores, name: str) -> Row:
  """The record of a metric in the first row that has it."""
  return next(scores[name] for scores in rows.values() if name in scores)


def _value(record: Row) -> Any:
  """The value, with its standard deviation if there is one."""
  value, std = record.get("value"), record.get("std")
  if value is None or std is None:
    return value
  return f"{value:.4g} ± {std:.2g}"


def _reference(record: Row) -> str | None:
  """The set that a metric compares with, and its size."""
  split, size = record.get("reference_split"), record.get("reference_size")
  if split is None or size is None:
    return split
  return f"{split} ({size:,})"


def _is_steep(lines: Mapping[str, tuple[list, list]]) -> bool:
  """True if a logarithmic axis shows more of these lines.

  All values are positive, and half of them lie in the lowest tenth of the
  range, such as a loss that first falls steeply.
  """
  values = [v for _, y in lines.values() for v in y if math.isfinite(v)]
  if not values or min(values) <= 0:
    return False
  low, high = min(values), max(values)
  return float(np.median(values)) < low + 0.1 * (high - low)

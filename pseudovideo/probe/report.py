"""Tables and charts of the measured errors."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pseudovideo.probe import measure
from pseudovideo.report import Report, chart

Record = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]

RULE = (
  "Saved: 1 - error(all frames before it) / error(the previous frame). Ranked "
  "by its mean over the frames that have two or more before them, linear "
  "predictor; the last frame is the image."
)


def kinds(record: Record) -> list[str]:
  """Predictors that were measured."""
  return list(record["worth"])


def percent(estimate: Sequence[float]) -> str:
  """A share and its standard error, in as many digits as that allows."""
  value, error = (100 * number for number in estimate)
  digits = 1 if error >= 0.05 else 2 if error >= 0.005 else 3
  return f"{round(value, digits) + 0.0:.{digits}f} ± {error:.{digits}f}%"


def frame_table(record: Record) -> Table:
  """Every frame by the number of frames that it is predicted from."""
  header = ["frame", "from", "variance"]
  for kind in kinds(record):
    header += [f"{kind}: error", "saved"]
  rows = []
  for one in record["predictions"]:
    variance = record["variances"][one["frame"] - 1]
    row = [str(one["frame"]), str(one["given"]), f"{variance:.3g}"]
    for kind in kinds(record):
      value, error = one[kind]["error"]
      row.append(f"{value:.4g} ± {error:.1g}")
      row.append(percent(one[kind]["saved"]) if one["given"] > 1 else "")
    rows.append(row)
  return header, rows


def text(table: Table) -> str:
  """A table with aligned columns."""
  lines = [table[0], *table[1]]
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  return "\n".join(
    "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
    for line in lines
  )


def ranked(records: Iterable[Record]) -> list[Record]:
  """Sorts by the share that frames beyond the previous one save, most first."""
  return sorted(records, key=lambda r: -r["worth"][measure.LINEAR]["mean"][0])


def ranking(records: Sequence[Record]) -> Table:
  """The augmentations, `ranked`."""
  header = ["rank", "augmentation"]
  for kind in kinds(records[0]):
    header += [f"{kind}: saved, mean", "last frame"]
  rows = []
  for place, record in enumerate(ranked(records), 1):
    row = [str(place), record["label"]]
    for kind in kinds(record):
      worth = record["worth"][kind]
      row += [percent(worth["mean"]), percent(worth["last"])]
    rows.append(row)
  return header, rows


def cost(records: Iterable[Record]) -> str:
  """A sentence on the cost of overfitting in the linear predictor."""
  share = max(
    (record["coefficients"] - 1) / (record["frames"] - 1) / record["places"]
    for record in records
  )
  return (
    f"Each frame that tells nothing costs the linear predictor about "
    f"{share:.2g} of its error, coefficients over fitted places."
  )


def about(settings: Mapping[str, Any], dataset: str) -> str:
  """A paragraph on the method of measurement."""
  text = (
    f"{dataset}: fitted to {settings['num']:,} pseudo videos of training "
    f"images, scored on as many of held-out images. Each pixel is predicted "
    f"from the {settings['window']}x{settings['window']} pixels around it in "
    "the given frames and all channels, with the same coefficients "
    "everywhere; pixels whose window leaves the image are left out. ± are "
    "standard errors over held-out images"
  )
  if settings["steps"]:
    text += (
      f" and over networks, {settings['networks']} of each kind, trained for "
      f"{settings['steps']:,} steps to correct the linear predictor"
    )
  return f"{text}. Errors are in squared pixel units of the model."


def with_bars(
  x: Sequence[float], estimates: Sequence[Sequence[float]], scale: float = 1
) -> tuple[list[float], list[float]]:
  """A line with bars of two standard errors, as gaps in one series."""
  xs, ys = list(x), [scale * value for value, _ in estimates]
  for place, (value, error) in zip(x, estimates, strict=True):
    xs += [float("nan"), place, place]
    ys += [float("nan")]
    ys += [scale * (value - 2 * error), scale * (value + 2 * error)]
  return xs, ys


def _whole(record: Record) -> list[Record]:
  """Predictions from all earlier frames, two or more."""
  return [p for p in record["predictions"] if p["given"] == p["frame"] - 1 > 1]


def share_chart(records: Sequence[Record], kind: str) -> chart.Series:
  """The percentage that frames beyond the previous one save, by frame."""
  return {
    record["label"]: with_bars(
      [p["frame"] for p in _whole(record)],
      [p[kind]["saved"] for p in _whole(record)],
      100,
    )
    for record in records
  }


def error_chart(record: Record) -> chart.Series:
  """The errors from the previous frame and from all before it, by frame."""
  series = {}
  for kind in kinds(record):
    for label, picked in (
      ("previous frame", [p for p in record["predictions"] if p["given"] == 1]),
      ("all before it", _whole(record)),
    ):
      series[f"{kind}, {label}"] = with_bars(
        [p["frame"] for p in picked], [p[kind]["error"] for p in picked]
      )
  return series


def write_page(path: pathlib.Path, record: Record) -> pathlib.Path:
  """Writes one page on a record of `python -m pseudovideo.probe`."""
  records = ranked(record["augmentations"])
  page = Report(
    "What earlier frames are worth", about(record["settings"], record["data"])
  )
  page.section("Augmentations")
  page.table(*ranking(records), caption=f"{RULE} {cost(records)}")
  for kind in kinds(records[0]):
    page.chart(
      share_chart(records, kind),
      "frame",
      f"error saved by frames beyond the previous one, %, {kind}",
      caption="Bars: two standard errors.",
    )
  for one in records:
    page.section(one["label"])
    page.chart(
      error_chart(one), "frame", "mean squared error of the frame", log=True
    )
    page.table(*frame_table(one))
  return page.write(path)

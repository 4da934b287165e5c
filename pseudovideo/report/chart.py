"""Line charts as inline SVG; colours come from the page's style sheet."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Label -> (x, y), of equal lengths."""

COLOURS = 6
"""The style sheet has classes s0 .. s5; a seventh series reuses the first."""

DASHES = 4
"""And d0 .. d3, from solid to dotted, for lines that cover others."""

COVERED = 3
"""Pixels; a line this close to another one covers it."""

MOST_POINTS = 400
"""A longer series is drawn as means over equally many neighbours."""

MOST_TITLES = 60
"""So many points of a series, evenly spaced, say their values on hovering."""

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 468, 32, 226

NAMES, NAME_HEIGHT = 156, 13
"""Pixels to the right of lines that have their names there; of each name."""


class Axis(NamedTuple):
  """Values low .. high, laid out on pixels start .. end.

  Ticks of `whole` numbers are whole.
  """

  low: float
  high: float
  start: float
  end: float
  log: bool
  whole: bool = False

  def place(self, values: np.ndarray | float) -> np.ndarray:
    """Pixels of values; nan where a value cannot be shown."""
    low, high = self.low, self.high
    if self.log:
      values = np.log(np.where(values > 0, values, np.nan))
      low, high = math.log(low), math.log(high)
    part = (values - low) / (high - low)
    return np.asarray(self.start + part * (self.end - self.start))

  def ticks(self) -> list[float]:
    """Values of the marks on the axis."""
    make = log_ticks if self.log else ticks
    found = make(self.low, self.high)
    return [t for t in found if t == round(t)] if self.whole else found


def ticks(low: float, high: float, most: int = 6) -> list[float]:
  """Round numbers in [low, high], evenly spaced by 1, 2 or 5 times 10^k.

  Args:
    low: less than `high`; both finite.
    high: upper end.
    most: the range holds at most this many steps, and at least most / 2.5.

  Returns:
    Ascending multiples of the step.
  """
  least = (high - low) / most
  power = math.floor(math.log10(least))
  factor = next(
    (f for f in (1, 2, 5) if f * 10.0**power >= least * (1 - 1e-9)), 10
  )
  step = factor * 10.0**power
  first = math.ceil(low / step - 1e-9)
  last = math.floor(high / step + 1e-9)
  # Integers times or over a power of ten, so that 3 steps of 0.1 are 0.3.
  numerator, denominator = 10 ** max(power, 0), 10 ** max(-power, 0)
  return [n * factor * numerator / denominator for n in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
  """Round numbers in [low, high] for a logarithmic axis; 0 < low < high.

  Powers of ten, thinned to at most `most`, if there are three or more; else
  1, 2 and 5 times powers of ten, at most nine, again if there are three or
  more; else, over a short range, the ticks of a linear axis.
  """
  first = math.ceil(math.log10(low) - 1e-9)
  last = math.floor(math.log10(high) + 1e-9)
  if last - first >= 2:
    stride = math.ceil((last - first + 1) / most)
    return [10.0**power for power in range(first, last + 1, stride)]
  found = [
    factor * 10.0**power
    for power in range(first - 1, last + 1)
    for factor in (1, 2, 5)
    if low <= factor * 10.0**power <= high
  ]
  return found if len(found) >= 3 else ticks(low, high, most)


def line_chart(
  series: Series,
  xlabel: str,
  ylabel: str,
  *,
  log: bool = False,
  log_x: bool = False,
  named: bool = False,
) -> str:
  """Draws one chart, as SVG.

  Args:
    series: the lines; points that are not finite (or, with `log`, not
      positive) leave a gap, and a series may be empty.
    xlabel: name of the axis to the right, with its unit.
    ylabel: name of the axis upwards, with its unit.
    log: logarithmic y axis.
    log_x: logarithmic x axis, on which only positive points can be drawn.
    named: the labels stand at the ends of the lines, none longer than `NAMES`.

  Returns:
    An `<svg>` element, with a text in place of the lines if no point can be
    drawn.
  """
  right = RIGHT - NAMES if named else RIGHT
  layout = _layout(series, log, log_x, right)
  head = (
    f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label='
    f'"{html.escape(ylabel)} against {html.escape(xlabel)}">'
    f'<text class="ylabel" x="0" y="14">{html.escape(ylabel)}</text>'
  )
  if layout is None:
    middle = f'x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle"'
    return f"{head}<text {middle}>no finite values</text></svg>"
  parts = [head, _frame(layout.x_axis, layout.y_axis, xlabel)]
  for label, line, place, style in zip(series, *layout[2:], strict=True):
    parts.append(f'<g class="{style}">{_path(place)}')
    size = _bin_size(len(series[label][0]))
    parts.append(f"{_titles(label, line, place, size)}</g>")
  if named:
    parts.append(_names(series, layout))
  return "".join(parts) + "</svg>"


def legend(series: Series, *, log: bool = False) -> str:
  """Makes the HTML list of the series that have points.

  Args:
    series: as in `line_chart`, as is `log`.
    log: logarithmic y axis.

  Returns:
    A `<ul>` of labels, with the colours and dashes of the lines.
  """
  layout = _layout(series, log)
  styles = layout.styles if layout else [""] * len(series)
  items = "".join(
    f'<li class="{style}">{html.escape(label)}</li>'
    for style, (label, (x, _)) in zip(styles, series.items(), strict=True)
    if len(x)
  )
  return f'<ul class="legend">{items}</ul>'


class _Layout(NamedTuple):
  """Where the lines of a chart lie.

  Attributes:
    x_axis: the axis to the right.
    y_axis: the axis upwards.
    lines: (n, 2) points per series.
    places: their pixels.
    styles: classes of the style sheet.
  """

  x_axis: Axis
  y_axis: Axis
  lines: list[np.ndarray]
  places: list[np.ndarray]
  styles: list[str]


def _layout(
  series: Series, log: bool, log_x: bool = False, right: float = RIGHT
) -> _Layout | None:
  """The layout; None if no point can be drawn."""
  given = [_clean(x, y, log, log_x) for x, y in series.values()]
  lines = [_thin(x, y) for x, y in given]
  points = np.concatenate([np.zeros((0, 2)), *lines])
  points = points[~np.isnan(points).any(1)]
  if not len(points):
    return None
  x_whole, y_whole = (
    all(np.all(np.isnan(one) | (one == np.round(one))) for one in values)
    for values in zip(*given, strict=True)
  )
  x_low, x_high = _limits(points[:, 0], 0, log_x)
  # Steps 1 .. n are shown on an axis that begins with 0.
  x_low = 0.0 if 0 < x_low < x_high / 10 and not log_x else x_low
  x_axis = Axis(x_low, x_high, LEFT, right, log_x, x_whole)
  y_limits = _limits(points[:, 1], 0.05, log)
  y_axis = Axis(*y_limits, BOTTOM, TOP, log, y_whole)
  places = [
    np.stack([x_axis.place(line[:, 0]), y_axis.place(line[:, 1])], 1)
    for line in lines
  ]
  return _Layout(x_axis, y_axis, lines, places, _styles(places))


def _styles(places: Sequence[np.ndarray]) -> list[str]:
  """Classes by which all lines are told apart.

  A line that covers earlier ones, or has the colour of one, is dashed, so that
  they show through.
  """
  dashes: list[int] = []
  for i, place in enumerate(places):
    taken = {
      dashes[j]
      for j in range(i)
      if (i - j) % COLOURS == 0 or _covers(place, places[j])
    }
    free = (d for d in range(DASHES) if d not in taken)
    dashes.append(next(free, i % DASHES))
  return [f"s{i % COLOURS} d{dash}" for i, dash in enumerate(dashes)]


def _covers(place: np.ndarray, other: np.ndarray) -> bool:
  """True if a quarter of a line, where both are, lies on the other one."""
  (x, y), (other_x, other_y) = _curve(place), _curve(other)
  if not len(x) or not len(other_x):
    return False
  common = (x >= other_x[0]) & (x <= other_x[-1])
  near = np.abs(np.interp(x, other_x, other_y) - y)[common] < COVERED
  return near.sum() > max(1, len(near) / 4)


def _curve(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Ascending x and the mean of y at each; bars do not count."""
  shown = place[~np.isnan(place).any(1)]
  x, at = np.unique(shown[:, 0], return_inverse=True)
  return x, np.bincount(at, shown[:, 1]) / np.bincount(at)


def number(value: float) -> str:
  """A number with at most six digits: 1,600 or 0.05 or 1e-05."""
  return f"{value:,.6g}"


def _clean(
  steps: Sequence[float], values: Sequence[float], log: bool, log_x: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Float64 arrays, with nan for what cannot be drawn."""
  x, y = np.array(steps, np.float64), np.array(values, np.float64)
  bad = ~(np.abs(x) < 1e300) | ~(np.abs(y) < 1e300)
  if log:
    bad |= ~(y > 0)
  if log_x:
    bad |= ~(x > 0)
  y[bad] = np.nan
  return x, y


def _bin_size(length: int) -> int:
  """Number of neighbours that one drawn point is the mean of."""
  return math.ceil(length / MOST_POINTS) or 1


def _thin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """(n, 2) points, n <= MOST_POINTS; each the mean of equally many."""
  starts = np.arange(0, len(x), _bin_size(len(x)))
  if not len(starts):
    return np.zeros((0, 2))
  counts = np.diff([*starts, len(x)])
  means = [np.add.reduceat(values, starts) / counts for values in (x, y)]
  return np.stack(means, 1)


def _limits(
  values: np.ndarray, margin: float, log: bool
) -> tuple[float, float]:
  low, high = float(values.min()), float(values.max())
  if log:
    low, high = math.log(low), math.log(high)
  if high - low <= 1e-12 * max(abs(low), abs(high)):
    margin, width = 1, abs(low) / 10 or 1.0
  else:
    width = high - low
  low, high = low - margin * width, high + margin * width
  return (math.exp(low), math.exp(high)) if log else (low, high)


def _frame(x_axis: Axis, y_axis: Axis, xlabel: str) -> str:
  """Grid lines, tick labels, and the name of the x axis."""
  parts = []
  for value in y_axis.ticks():
    y = f"{float(y_axis.place(value)):.1f}"
    parts.append(
      f'<line class="grid" x1="{LEFT}" x2="{x_axis.end}" y1="{y}" y2="{y}"/>'
      f'<text class="tick" x="{LEFT - 7}" y="{y}" dy="0.32em"'
      f' text-anchor="end">{number(value)}</text>'
    )
  for value in x_axis.ticks():
    x = f"{float(x_axis.place(value)):.1f}"
    parts.append(
      f'<line class="axis" x1="{x}" x2="{x}" y1="{BOTTOM}" y2="{BOTTOM + 4}"/>'
      f'<text class="tick" x="{x}" y="{BOTTOM + 18}"'
      f' text-anchor="middle">{number(value)}</text>'
    )
  right = x_axis.end
  parts.append(
    f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{BOTTOM}" y2="{BOTTOM}"/>'
    f'<text class="xlabel" x="{right}" y="{HEIGHT - 6}" text-anchor="end">'
    f"{html.escape(xlabel)}</text>"
  )
  return "".join(parts)


def _names(series: Series, layout: _Layout) -> str:
  """The labels right of the ends of their lines, none on another one."""
  seen = [place[~np.isnan(place).any(1)] for place in layout.places]
  ends = {
    label: (float(place[-1, 1]), style)
    for label, place, style in zip(series, seen, layout.styles, strict=True)
    if len(place)
  }
  ordered = sorted(ends, key=lambda label: ends[label][0])
  heights = _apart([ends[label][0] for label in ordered])
  return "".join(
    f'<text class="{ends[label][1]}" style="fill: currentColor" '
    f'x="{layout.x_axis.end + 8}" y="{y:.1f}" dy="0.32em">'
    f"{html.escape(label)}</text>"
    for label, y in zip(ordered, heights, strict=True)
  )


def _apart(heights: Sequence[float]) -> list[float]:
  """Ascending heights, moved apart to `NAME_HEIGHT` and kept above `BOTTOM`."""
  found: list[float] = []
  for y in heights:
    found.append(max(y, found[-1] + NAME_HEIGHT) if found else y)
  most = float(BOTTOM)
  for i in reversed(range(len(found))):
    found[i] = min(found[i], most)
    most = found[i] - NAME_HEIGHT
  return found


def _path(place: np.ndarray) -> str:
  """One path through (n, 2) pixels, broken at nan; a lone point is a dot."""
  commands, pen_down = [], False
  for x, y in place:
    if math.isnan(x) or math.isnan(y):
      pen_down = False
    else:
      # "h0" gives a piece of one point a length, hence round caps.
      commands.append(
        f"L{x:.1f},{y:.1f}" if pen_down else f"M{x:.1f},{y:.1f}h0"
      )
      pen_down = True
  return f'<path d="{"".join(commands)}"/>'


def _titles(label: str, line: np.ndarray, place: np.ndarray, size: int) -> str:
  """Circles that appear on hovering and say the values."""
  seen = np.flatnonzero(~np.isnan(place).any(1))
  stride = math.ceil(len(seen) / MOST_TITLES) or 1
  mean = f" (mean of {size})" if size > 1 else ""
  return "".join(
    f'<circle cx="{place[i, 0]:.1f}" cy="{place[i, 1]:.1f}" r="4"><title>'
    f"{html.escape(label)}: {number(line[i, 1])} at {number(line[i, 0])}"
    f"{mean}</title></circle>"
    for i in seen[::stride]
  )

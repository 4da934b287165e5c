"""The figure of growth: a row for each system, its seconds and its memory.

Sizes are divided by the smallest one, and both axes are logarithmic, so that a
power is a straight line; its exponent stands at its end.
"""

import html
from collections.abc import Mapping
from typing import Any

from benchmarks.growth import exponents, systems
from pseudovideo.report import chart, style

COSTS = {
  "least_cpu_seconds": "processor seconds",
  "temporary_mb": "MB of temporary arrays",
}
GAP, HEADING = 40, 36
ROW = HEADING + chart.HEIGHT + 12
WIDTH = 2 * chart.WIDTH + 3 * GAP

# Charts have a fixed size here, and nothing lies behind them.
_STYLE = f"""{style.CSS}
svg {{ width: {WIDTH}px; max-width: none; height: auto; }}
svg svg {{ width: {chart.WIDTH}px; height: {chart.HEIGHT}px; }}
svg {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
.page {{ fill: var(--card); }}
svg .heading {{ font-size: 16px; font-weight: 600; }}
"""


def draw(values: Mapping[str, Any]) -> str:
  """The figure of the values that the command measured, an SVG file."""
  height = ROW * len(values) + GAP // 2
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
    f'width="{WIDTH}" height="{height}">'
    f"<title>Growth of time and memory</title><style>{_STYLE}</style>"
    '<rect class="page" width="100%" height="100%"/>'
  ]
  for row, (system, programs) in enumerate(values.items()):
    parts.append(_row(system, programs, row * ROW))
  return "\n".join(parts) + "\n</svg>\n"


def _row(system: str, programs: Mapping[str, Any], top: int) -> str:
  title = html.escape(systems.SYSTEMS[system].title)
  parts = [f'<text class="heading" x="{GAP}" y="{top + 26}">{title}</text>']
  for i, (cost, name) in enumerate(COSTS.items()):
    left = GAP + i * (chart.WIDTH + GAP)
    drawn = chart.line_chart(
      series(programs, cost),
      "times the smallest size",
      name,
      log=True,
      log_x=True,
      named=True,
    )
    place = (
      f'<svg x="{left}" y="{top + HEADING}" width="{chart.WIDTH}" '
      f'height="{chart.HEIGHT}" '
    )
    parts.append(drawn.replace("<svg ", place, 1))
  return "\n".join(parts)


def series(programs: Mapping[str, Any], cost: str) -> dict[str, Any]:
  """A line for each program and axis, named with its exponent.

  Args:
    programs: program -> axis -> points.
    cost: field of the points.
  """
  found = {}
  for program, axes in programs.items():
    for axis, points in axes.items():
      sizes = [float(size) for size in points]
      costs = [point[cost] for point in points.values()]
      last = exponents.exponents(sizes, costs).last
      times = [size / sizes[0] for size in sizes]
      found[f"{program}, {axis} {last:.2f}"] = (times, costs)
  return found

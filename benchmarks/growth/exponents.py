"""Exponents of growth, and whether anything grows faster than it must.

A cost that grows as size^p has the exponent p between two sizes s < t:

  p = log(cost(t) / cost(s)) / log(t / s)

What is fixed, such as the update of the weights, lowers it at small sizes, and
so the two largest sizes count. The exponent of processor seconds is compared
with that of the operations in the program as it is written, or with the power
that the mathematics has without attention, whichever is larger: slow parts of
few operations may grow with that power before all do. The exponents of the
operations, and of the memory that XLA plans, are compared with the largest
powers that the mathematics has.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.growth import systems

TIME_TOLERANCE = 0.3
"""Larger pictures also fit into caches worse, and clocks vary."""
MEMORY_TOLERANCE = 0.1
COUNT_TOLERANCE = 0.05

NUMBER = 32
"""Operations of products in the time in which one CPU makes another number: of
the softmax of attention it takes 0.15 ns, where products run at 180 GFLOP/s."""

Points = Mapping[str, Mapping[str, float]]
"""Size -> fields of `points.measure`."""


FIELDS = ("least_cpu_seconds", "temporary_mb")


class Exponents(NamedTuple):
  """Exponents of one cost: between the two largest sizes, and over all."""

  last: float
  overall: float


class Growth(NamedTuple):
  """How the costs of a program grow along an axis.

  Attributes:
    system: name of the system.
    program: name of its program.
    axis: what grows.
    costs: `operations` or a name of `FIELDS` -> exponents.
    powers: the largest powers that the mathematics has, of operations.
    memory_power: and of memory.
  """

  system: str
  program: str
  axis: str
  costs: Mapping[str, Exponents]
  powers: systems.Powers
  memory_power: int

  def faster(self) -> list[str]:
    """Names of the costs that grow faster than they must."""
    seconds, memory, made = (
      self.costs[name].last for name in (*FIELDS, "operations")
    )
    found = {
      "seconds": seconds > max(made, self.powers.rest) + TIME_TOLERANCE,
      "memory": memory > self.memory_power + MEMORY_TOLERANCE,
      "operations": made > self.powers.attention + COUNT_TOLERANCE,
    }
    return [name for name, is_faster in found.items() if is_faster]

  @property
  def verdict(self) -> str:
    """Says what grows faster, if anything does."""
    return (
      ", ".join(self.faster()) + " faster" if self.faster() else "no faster"
    )


def exponents(sizes: Sequence[float], costs: Sequence[float]) -> Exponents:
  """The exponents of positive costs at two ascending sizes or more."""
  x, y = np.log(sizes), np.log(costs)
  last = (y[-1] - y[-2]) / (x[-1] - x[-2])
  return Exponents(float(last), float(np.polyfit(x, y, 1)[0]))


def growth(system: str, program: str, axis: str, points: Points) -> Growth:
  """The growth along an axis of which two points or more were measured."""
  sizes = [float(size) for size in points]
  costs = {
    name: exponents(sizes, [point[name] for point in points.values()])
    for name in FIELDS
  }
  costs["operations"] = exponents(sizes, list(map(operations, points.values())))
  of_system = systems.SYSTEMS[system]
  powers = systems.powers(of_system, program, axis)
  most = systems.memory_power(of_system, program, axis)
  return Growth(system, program, axis, costs, powers, most)


def operations(point: Mapping[str, float]) -> float:
  """The 10^9 operations of products that take as long as all of a point."""
  return point["gflop"] + NUMBER * point["other_numbers"]


def every(values: Mapping[str, Any]) -> Iterator[Growth]:
  """The growth in system -> program -> axis -> points."""
  for system, by_program in values.items():
    for program, by_axis in by_program.items():
      for axis, points in by_axis.items():
        yield growth(system, program, axis, points)


HEADER = (
  "",
  "sizes",
  "CPU-s at the last",
  "seconds",
  "all sizes",
  "operations",
  "powers",
  "memory",
  "power",
  "grows",
)


def table(values: Mapping[str, Any]) -> list[list[str]]:
  """The lines below `HEADER`: exponents of every program along every axis."""
  return [_line(one, _points(values, one)) for one in every(values)]


def _points(values: Mapping[str, Any], one: Growth) -> Points:
  return values[one.system][one.program][one.axis]


def _line(one: Growth, points: Points) -> list[str]:
  title, costs = systems.SYSTEMS[one.system].title, one.costs
  seconds, memory = (costs[name] for name in FIELDS)
  rest, attention = one.powers
  last = list(points.values())[-1]["least_cpu_seconds"]
  return [
    f"{title}: {one.program}, {one.axis}",
    ", ".join(points),
    f"{last:.3g}",
    f"{seconds.last:.2f}",
    f"{seconds.overall:.2f}",
    f"{costs['operations'].last:.2f}",
    str(rest) if rest == attention else f"{rest}, attention {attention}",
    f"{memory.last:.2f}",
    str(one.memory_power),
    one.verdict,
  ]


PAGE_HEADER = (
  "",
  "seconds: frames or tokens",
  "side",
  "batch",
  "memory: frames or tokens",
  "side",
  "batch",
)


def page(values: Mapping[str, Any]) -> list[list[str]]:
  """The lines below `PAGE_HEADER`: one for each program.

  A cell is the exponent, bold where it is faster; with the seconds' that of the
  operations in brackets.
  """
  found = {(g.system, g.program, g.axis): g for g in every(values)}
  return [
    [f"{systems.SYSTEMS[system].title}: {program}"]
    + [
      _cell(found.get((system, program, axis)), cost)
      for cost in ("seconds", "memory")
      for axis in (_first_axis(axes), "side", "batch")
    ]
    for system, programs in values.items()
    for program, axes in programs.items()
  ]


def _first_axis(axes: Mapping[str, Any]) -> str:
  return "tokens" if "tokens" in axes else "frames"


def _cell(one: Growth | None, cost: str) -> str:
  if one is None:
    return ""
  seconds, memory, made = (
    f"{one.costs[name].last:.2f}" for name in (*FIELDS, "operations")
  )
  text = f"{seconds} ({made})" if cost == "seconds" else memory
  return f"**{text}**" if cost in one.faster() else text

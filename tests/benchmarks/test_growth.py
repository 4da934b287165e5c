"""Exponents of powers, counts of programs, verdicts; the command once."""

import contextlib
import io
import json
import re
import xml.etree.ElementTree as ET

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import costs
from benchmarks.growth import __main__ as command
from benchmarks.growth import counts, exponents, figure, points, systems
from pseudovideo.report import chart

SIZES = (2, 4, 8, 16)


def made_up(seconds=1.0, operations=1.0, memory=1.0):
  """Points whose costs are powers of the size."""
  powers = {
    "least_cpu_seconds": seconds,
    "gflop": operations,
    "other_numbers": operations,
    "temporary_mb": memory,
  }
  return {
    str(size): {name: 3.0 * size**p for name, p in powers.items()}
    for size in SIZES
  }


# Exponents.


@pytest.mark.parametrize("power", [0, 0.5, 1, 2, 3.7])
def test_the_exponent_of_a_power_is_the_power(power):
  found = exponents.exponents(SIZES, [7 * size**power for size in SIZES])
  assert found == pytest.approx((power, power), abs=1e-9)


def test_the_last_two_sizes_count():
  costs = [10 + size**2 for size in SIZES]
  last, overall = exponents.exponents(SIZES, costs)
  assert overall < last < 2
  far = [10 + size**2 for size in (2, 4, 1000, 2000)]
  last, _ = exponents.exponents((2, 4, 1000, 2000), far)
  assert last == pytest.approx(2, abs=1e-4)


# Verdicts.


def faster(axis="batch", system="video_vae", program="update", **powers):
  found = exponents.growth(system, program, axis, made_up(**powers))
  return found.faster()


def test_what_grows_as_it_must_is_not_named():
  assert faster() == []
  assert faster(seconds=0.5, memory=0.1) == []
  assert faster("side", seconds=2, operations=2, memory=2) == []
  assert faster("side", seconds=4, operations=4, memory=4) == []
  assert faster("tokens", "next_token", seconds=2, operations=2, memory=2) == []


def test_what_grows_faster_is_named():
  assert faster(seconds=1.4) == ["seconds"]
  assert faster(memory=1.4) == ["memory"]
  # A program that is written with more than the mathematics needs.
  assert faster(seconds=2, operations=2) == ["operations"]
  assert faster("frames", "heat_hvae") == ["memory", "operations"]
  assert faster("frames", "heat_hvae", "sample") == []
  assert (
    "seconds faster"
    in exponents.growth(
      "video_vae", "update", "batch", made_up(seconds=3)
    ).verdict
  )


def test_tables_have_all_that_was_measured():
  slow = made_up(seconds=1.5)
  values = {
    "video_vae": {"update": {"frames": made_up(), "batch": slow}},
    "next_token": {"sample": {"tokens": slow}},
  }
  lines = exponents.table(values)
  assert [line[-1] for line in lines] == [
    "no faster", "seconds faster", "seconds faster",
  ]  # fmt: skip
  assert all(len(line) == len(exponents.HEADER) for line in lines)
  (vae, prior) = exponents.page(values)
  assert len(vae) == len(exponents.PAGE_HEADER)
  assert vae[1:5] == ["1.00 (1.00)", "", "**1.50 (1.00)**", "1.00"]
  assert prior[1] == "**1.50 (1.00)**" and prior[2:4] == ["", ""]


# Counts.


def traced(function, *shapes):
  made = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  return jax.make_jaxpr(function)(*made).jaxpr


def test_products_and_other_numbers_are_counted():
  product = traced(lambda x, y: jnp.exp(x @ y), (3, 4), (4, 5))
  assert costs.flops(product) == 2 * 3 * 4 * 5
  assert counts.numbers(product) == 15


def test_the_rounds_of_a_loop_count():
  def loop(x):
    return jax.lax.scan(lambda x, _: (jnp.sin(x), None), x, length=7)[0]

  jaxpr = traced(loop, (10,))
  assert counts.numbers(jaxpr) == 7 * 10


def test_the_largest_branch_counts():
  def choice(x):
    return jax.lax.cond(x[0, 0] > 0, lambda x: jnp.sin(x @ x), jnp.sin, x)

  found = traced(choice, (10, 10))
  assert costs.flops(found) == 2 * 10**3
  # A number to choose by comes first.
  assert 100 < counts.numbers(found) < 110


# Systems.


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_every_size_is_allowed(name):
  system = systems.SYSTEMS[name]
  for axis, sizes in system.axes.items():
    assert list(sizes) == sorted(set(sizes)) and len(sizes) >= 3
    assert axis in systems.POWERS
    for size in sizes:
      at = system.base._replace(**{axis: size})
      _, task = system.make(at)
      task.check()
      if axis == "tokens":
        assert task.num_tokens == size


def test_calls_are_timed(monkeypatch):
  monkeypatch.setattr(points, "LEAST_SECONDS", 1e-3)
  calls = []
  found = points.clocked(lambda: calls.append(0), repeats=2)
  assert 0 <= found["least_cpu_seconds"] <= found["cpu_seconds"]
  assert len(calls) > 2


# The command.


@pytest.mark.slow("runs a benchmark")
def test_the_command_measures_and_draws(tmp_path, monkeypatch):
  system = systems.SYSTEMS["next_token"]
  few = system._replace(axes={"batch": (1, 2)})
  monkeypatch.setitem(systems.SYSTEMS, "next_token", few)
  monkeypatch.setattr(points, "LEAST_SECONDS", 1e-3)
  record, drawing = tmp_path / "growth.json", tmp_path / "growth.svg"
  with contextlib.redirect_stdout(io.StringIO()) as printed:
    done = command.run([
      "--rows=next_token", "--axes=batch", "--repeats=1", f"--out={record}",
      f"--figure={drawing}",
    ])  # fmt: skip
  assert done == 0
  values = json.loads(record.read_text())["values"]
  assert set(values["next_token"]) == {"update", "sample"}
  for axes in values["next_token"].values():
    for point in axes["batch"].values():
      assert min(point.values()) >= 0 and point["gflop"] > 0
  one, two = values["next_token"]["update"]["batch"].values()
  assert 1.5 < two["gflop"] / one["gflop"] < 2.1
  assert "next-token prior: update, batch" in printed.getvalue()
  texts = [x.text for x in ET.parse(drawing).iter() if x.tag.endswith("text")]
  assert sum("update, batch" in (text or "") for text in texts) == 2


def points_of(path):
  """The corners of a line of a chart, (x, y) in pixels."""
  numbers = re.findall(r"[ML]([-\d.]+),([-\d.]+)", path.get("d"))
  return [(float(x), float(y)) for x, y in numbers]


def test_a_power_is_a_straight_line_in_the_figure():
  values = {"video_vae": {"update": {"side": made_up(seconds=2)}}}
  root = ET.fromstring(figure.draw(values))
  for path in (x for x in root.iter() if x.tag.endswith("path")):
    (x, y), *others, (end_x, end_y) = points_of(path)
    slope = (end_y - y) / (end_x - x)
    assert slope < 0  # Larger is higher.
    for at_x, at_y in others:
      assert at_y == pytest.approx(y + slope * (at_x - x), abs=0.2)


def test_names_of_lines_do_not_cover_each_other():
  batch = {name: made_up() for name in ("side", "frames", "batch")}
  root = ET.fromstring(figure.draw({"video_vae": {"update": batch}}))
  heights = [
    float(x.get("y"))
    for x in root.iter()
    if x.tag.endswith("text") and (x.text or "").startswith("update, ")
  ][:3]
  assert len(heights) == 3
  gaps = np.diff(sorted(heights))
  assert gaps.min() >= chart.NAME_HEIGHT - 0.2
  assert max(heights) <= chart.BOTTOM


def test_the_figure_says_exponents():
  values = {"video_vae": {"update": {"side": made_up(seconds=2)}}}
  root = ET.fromstring(figure.draw(values))
  texts = [x.text for x in root.iter() if x.tag.endswith("text")]
  assert "update, side 2.00" in texts and "update, side 1.00" in texts

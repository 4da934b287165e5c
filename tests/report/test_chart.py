import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudovideo.report import chart

FINITE = st.floats(-1e12, 1e12)
WIDTHS = st.floats(1e-6, 1e12)


def parse(svg: str) -> ET.Element:
  return ET.fromstring(svg)


def path_points(svg: str) -> list[list[tuple[float, float]]]:
  """Per series, per piece: not joined, the points of the path."""
  return [
    [
      tuple(map(float, pair.split(",")))
      for pair in re.findall(r"[ML]([-\d.]+,[-\d.]+)", path.get("d"))
    ]
    for path in parse(svg).iter("path")
  ]


@given(FINITE, WIDTHS)
def test_ticks_are_round_evenly_spaced_and_inside(low, width):
  high = low + width
  if high - low < 1e-6 * max(abs(low), abs(high), 1e-6):
    return  # Too close together for six digits.
  found = chart.ticks(low, high)
  assert math.floor(6 / 2.5) <= len(found) <= 7
  step = (found[-1] - found[0]) / (len(found) - 1)
  mantissa = step / 10 ** math.floor(math.log10(step) + 1e-6)
  assert min(abs(mantissa - round_) for round_ in (1, 2, 5)) < 1e-3
  np.testing.assert_allclose(np.diff(found), step, rtol=1e-3)
  np.testing.assert_allclose(
    np.round(np.array(found) / step) * step, found, rtol=0, atol=2e-3 * step
  )
  assert low - 1e-6 * step <= found[0] < low + step * 1.001
  assert high - step * 1.001 < found[-1] <= high + 1e-6 * step


def test_ticks_are_the_shortest_decimals():
  for low, high, expected in [
    (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    (0, 0.3, [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]),
    (0.1, 0.4, [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]),
    (-7, 11, [-5, 0, 5, 10]),
    (1, 1600, [500, 1000, 1500]),
  ]:
    assert chart.ticks(low, high) == expected  # 0.3, not 0.30000000000000004.


@given(st.floats(-8, 8), st.floats(0.01, 12))
def test_log_ticks_are_inside_ascending_and_few(power, decades):
  low, high = 10.0**power, 10.0 ** (power + decades)
  found = chart.log_ticks(low, high)
  assert 2 <= len(found) <= 9
  assert found == sorted(set(found))
  assert all(low * (1 - 1e-6) <= v <= high * (1 + 1e-6) for v in found)


def test_log_ticks_by_range():
  for low, high, expected in [
    (0.05, 200, [0.1, 1, 10, 100]),
    (1e-6, 1e6, [1e-6, 1e-3, 1, 1e3, 1e6]),
    (1.5, 30, [2, 5, 10, 20]),
    (3.0, 3.5, [3, 3.1, 3.2, 3.3, 3.4, 3.5]),
  ]:
    found = chart.log_ticks(low, high)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("log", [False, True])
def test_lines_lie_where_the_axes_say(log):
  x, y = [0, 1, 2, 4], [1.0, 10.0, 100.0, 1000.0]
  svg = chart.line_chart({"loss": (x, y)}, "step", "loss", log=log)
  (points,) = path_points(svg)
  across, up = np.transpose(points)
  np.testing.assert_allclose(
    across, np.interp(x, [0, 4], [chart.LEFT, chart.RIGHT]), atol=0.06
  )
  heights = np.log(y) if log else np.array(y)
  steps = np.diff(up)
  np.testing.assert_allclose(
    steps / steps.sum(), np.diff(heights) / np.ptp(heights), atol=1e-3
  )
  assert (steps < 0).all()  # Larger is higher.
  assert up.min() > chart.TOP and up.max() < chart.BOTTOM


@pytest.mark.parametrize("log", [False, True])
def test_tick_labels_stand_beside_their_values(log):
  svg = chart.line_chart({"": ([0, 1], [2.0, 90.0])}, "step", "", log=log)
  labels = [
    (float(text.text), float(text.get("y")))
    for text in parse(svg).iter("text")
    if text.get("text-anchor") == "end" and text.get("class") == "tick"
  ]
  values, heights = np.transpose(labels)
  ((_, low), (_, high)) = path_points(svg)[0]
  scale = np.log if log else np.asarray
  expected = np.interp(
    scale(values),
    scale([2.0, 90.0]),
    [low, high],
    left=np.nan,
    right=np.nan,
  )
  inside = ~np.isnan(expected)
  assert inside.sum() >= 3
  np.testing.assert_allclose(heights[inside], expected[inside], atol=0.2)


def test_what_is_not_finite_leaves_a_gap():
  y = [1.0, 2.0, math.nan, 3.0, math.inf, 4.0, 5.0]
  svg = chart.line_chart({"loss": (range(7), y)}, "step", "loss")
  (path,) = parse(svg).iter("path")
  pieces = path.get("d").split("M")[1:]
  assert [piece.count("L") + 1 for piece in pieces] == [2, 1, 2]
  assert "nan" not in svg and "inf" not in svg.replace("loss: inf", "")


def test_a_log_axis_leaves_out_zero_and_below():
  svg = chart.line_chart(
    {"loss": ([0, 1, 2], [-1.0, 0.0, 5.0])}, "step", "loss", log=True
  )
  assert len(path_points(svg)[0]) == 1


def test_a_chart_of_nothing_says_so():
  for series in (
    {},
    {"loss": ([], [])},
    {"loss": ([1, 2], [math.nan, math.inf])},
    {"loss": ([1], [1e308]), "test": ([], [])},
  ):
    svg = chart.line_chart(series, "step", "loss")
    assert "no finite values" in [text.text for text in parse(svg).iter("text")]


@pytest.mark.parametrize(
  ("value", "log"),
  [
    (3e15, False),
    (0.0, False),
    (-4.0, False),
    (1e-9, True),
  ],
)
def test_a_constant_is_drawn_in_the_middle(value, log):
  svg = chart.line_chart({"": ([5, 6], [value] * 2)}, "step", "", log=log)
  middle = (chart.TOP + chart.BOTTOM) / 2
  assert [y for _, y in path_points(svg)[0]] == pytest.approx([middle] * 2)


def test_an_empty_series_keeps_the_colours_of_the_others():
  svg = chart.line_chart(
    {"a": ([], []), "b": ([0, 1], [1.0, 2.0])}, "step", "loss"
  )
  groups = {
    g.get("class"): g.find("path").get("d") for g in parse(svg).iter("g")
  }
  assert groups["s0 d0"] == "" and groups["s1 d0"].startswith("M")


def test_a_long_series_is_drawn_as_means_of_neighbours():
  y = np.random.default_rng(0).normal(size=1001) + 10
  svg = chart.line_chart({"loss": (np.arange(1001), y)}, "step", "loss")
  assert len(path_points(svg)[0]) == math.ceil(1001 / 3)
  titles = [title.text for title in parse(svg).iter("title")]
  assert len(titles) <= chart.MOST_TITLES
  first = f"loss: {y[:3].mean():,.6g} at 1 (mean of 3)"
  assert titles[0] == first


def test_points_say_their_values():
  svg = chart.line_chart({"test": ([0, 2000], [1.5, 2.0])}, "step", "loss")
  assert [title.text for title in parse(svg).iter("title")] == [
    "test: 1.5 at 0",
    "test: 2 at 2,000",
  ]


def test_texts_are_escaped():
  evil = '<script>"&'
  svg = chart.line_chart({evil: ([0, 1], [1, 2])}, evil, evil)
  texts = [element.text for element in parse(svg).iter("text")]
  assert texts.count(evil) == 2
  assert next(parse(svg).iter("title")).text.startswith(evil)
  legend = parse(chart.legend({"empty": ([], []), evil: ([0], [1])}))
  assert [(li.get("class"), li.text) for li in legend] == [("s1 d0", evil)]


def styles(series, **options):
  """The classes of the lines, which the legend has too."""
  svg = parse(chart.line_chart(series, "x", "y", **options))
  drawn = [group.get("class") for group in svg.iter("g")]
  shown = [li.get("class") for li in parse(chart.legend(series, **options))]
  assert shown == drawn
  return drawn


def test_a_line_over_another_one_is_dashed():
  x = np.arange(20)
  rising, falling = x.astype(float), 20.0 - x
  assert styles({"a": (x, rising), "b": (x, falling)}) == ["s0 d0", "s1 d0"]
  over = {"a": (x, rising), "b": (x, falling), "c": (x[5:], rising[5:])}
  assert styles(over) == ["s0 d0", "s1 d0", "s2 d1"]
  alike = {name: (x, 0 * x) for name in "abcde"} | {"z": (x, 100 + x)}
  dashes = [style.split()[1] for style in styles(alike)]
  assert dashes == ["d0", "d1", "d2", "d3", "d0", "d0"]


def test_no_two_lines_look_alike():
  x = np.arange(20)
  many = {str(i): (x, 50.0 * i + x) for i in range(3 * chart.COLOURS)}
  assert len(set(styles(many))) == len(many)


@pytest.mark.parametrize("x", [[2, 3, 4], [1], [0, 1], [7, 8, 9, 10, 11]])
@pytest.mark.parametrize("offset", [0, 0.5])
def test_axes_of_integers_show_integers(x, offset):
  svg = chart.line_chart({"": (x, np.array(x) + offset)}, "frame", "")
  ticks = [t for t in parse(svg).iter("text") if t.get("class") == "tick"]
  across = [t.text for t in ticks if t.get("text-anchor") == "middle"]
  upwards = [t.text for t in ticks if t.get("text-anchor") == "end"]
  assert across and all(float(text).is_integer() for text in across)
  if not offset:
    assert upwards and all(float(text).is_integer() for text in upwards)

import base64
import io
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from pseudovideo import report
from pseudovideo.report import drawing, run


def noise(*shape: int) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def record(name: str, value: float, num: int, **fields) -> dict:
  return {
    "name": name,
    "value": value,
    "std": None,
    "better": "lower",
    "definition": f"what {name} is",
    "num_samples": num,
    "reference_split": "train",
    "reference_size": 1437,
    "feature_network": {
      "name": "digitscls",
      "weights_hash": "0123456789abcdef",
    },
    **fields,
  }


RESULTS = {
  "metrics": {
    "generated": {"FD": record("FD", 4.25, 1000)},
    "real": {
      "FD": record("FD", 1.125, 360),
      "IS": record("IS", 9.3, 360, std=0.1, reference_split=None),
    },
  },
  "seed": 7,
  "images_seen": 102400,
  "packages": {"jax": "0.10.2"},
}
ROWS = [
  {"step": 1, "split": "train", "loss": 9.0, "seconds": 1.0},
  {"step": 2, "split": "train", "loss": math.nan, "seconds": 2.0},
  {"step": 2, "split": "held_out", "loss": 5.0, "images_seen": 3},
  {"step": 3, "split": "train", "loss": 4.0, "rate": 1.0, "seconds": 3.0},
]


def headings(text: str) -> list[str]:
  return re.findall(r"<h2[^>]*>(.*?)</h2>", text)


def cells(text: str) -> list[list[str]]:
  return [
    re.findall(r"<td[^>]*>(.*?)</td>", row)
    for row in re.findall(r"<tr>(.*?)</tr>", text)[1:]
  ]


def pictures(text: str) -> list[np.ndarray]:
  return [
    np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    for data in re.findall(r'base64,([^"]+)"', text)
  ]


def test_the_page_of_a_whole_run(tmp_path):
  pseudo, generated = noise(2, 3, 8, 8, 1), noise(4, 3, 8, 8, 1)[::-1]
  samples, real = noise(6, 8, 8, 1), noise(9, 8, 8, 1)[::-1]
  path = run.run_report(
    tmp_path,
    title="Heat HVAE",
    pseudo_videos=pseudo,
    generated_videos=generated,
    samples=samples,
    real=real,
    metrics=ROWS,
    results=RESULTS,
    config={"model": {"width": 32}},
  )
  assert path == tmp_path / "report.html"
  text = path.read_text(encoding="utf-8")
  assert headings(text) == [
    *("Pseudo videos", "Generated videos", "Samples"),
    *("Scores", "Curves", "Config"),
  ]
  expected = [
    drawing.film_strip(pseudo),
    drawing.film_strip(generated),
    drawing.grid(samples),
    drawing.grid(real[:6]),
  ]
  for stored, picture in zip(pictures(text), expected, strict=True):
    np.testing.assert_array_equal(stored, picture)


def test_what_is_not_given_is_left_out(tmp_path):
  for given, heading in [
    ({"pseudo_videos": noise(1, 2, 4, 4, 1)}, "Pseudo videos"),
    ({"generated_videos": noise(1, 2, 4, 4, 1)}, "Generated videos"),
    ({"samples": noise(2, 4, 4, 3)}, "Samples"),
    ({"metrics": ROWS}, "Curves"),
    ({"results": {"seed": 0}}, "Scores"),
    ({"config": {"seed": 0}}, "Config"),
  ]:
    path = run.run_report(tmp_path, title="run", **given)
    assert headings(path.read_text(encoding="utf-8")) == [heading]


def test_scores_stand_beside_those_of_real_images():
  page = report.Report("t")
  run.add_scores(page, RESULTS["metrics"])
  assert cells(page.render()) == [
    ["FD", "lower", "4.25", "1,000", "1.125", "360", "train (1,437)"],
    ["IS", "lower", *["\N{EN DASH}"] * 2, "9.3 ± 0.1", "360", "\N{EN DASH}"],
  ]


def test_scores_say_how_they_are_defined_and_where_they_come_from():
  page = report.Report("t")
  run.add_results(page, RESULTS)
  text = page.render()
  assert cells(text)[-2:] == [
    [name, f"what {name} is", "digitscls", "0123456789ab"]
    for name in ("FD", "IS")
  ]
  assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text) == [
    ("seed", "7"),
    ("images seen", "102,400"),
  ]
  folded = re.findall(r"<pre>(.*?)</pre>", text, re.S)
  assert json.loads(folded[0].replace("&quot;", '"')) == RESULTS


def test_one_chart_per_name_one_line_per_run_and_split():
  page = report.Report("t")
  run.add_curves(page, {"heat": ROWS, "learned": ROWS[:1]})
  text = page.render()
  assert re.findall(r'class="ylabel"[^>]*>(.*?)<', text) == ["loss", "rate"]
  assert re.findall(r'<li class="s\d d\d">(.*?)</li>', text) == [
    *("heat train", "heat held out", "learned train"),  # loss
    "heat train",  # rate
  ]
  titles = re.findall(r"<title>(.*?: .*?)</title>", text)
  assert titles == [
    *("heat train: 9 at 1", "heat train: 4 at 3", "heat held out: 5 at 2"),
    *("learned train: 9 at 1", "heat train: 1 at 3"),
  ]


@pytest.mark.parametrize(
  ("y", "log"),
  [
    ([7, 6, 5, 4, 3, 2, 1], False),
    ([100, 10, 3, 2, 0, 1.1, 1], False),
    ([-100, 10, 3, 2, 1, 1.1, 1], False),
    ([100, math.nan, 3, 2, 1, 1.1, 1], True),
    ([math.nan], False),
    ([2.0, 2.0], False),
  ],
)
def test_steep_positive_curves_get_a_logarithmic_axis(y, log):
  rows = [
    {"step": step, "split": "train", "loss": value}
    for step, value in enumerate(y)
  ]
  charts = []
  page = report.Report("t")
  page.chart = lambda *given, log: charts.append(log)
  run.add_curves(page, {"": rows})
  assert charts == [log]

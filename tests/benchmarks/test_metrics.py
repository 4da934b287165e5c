"""The benchmark can see memory grow, and its numbers fit together."""

import contextlib
import dataclasses
import functools
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks import metrics as benchmark
from tests.benchmarks.growth import ALLOCATOR, STREAM

ROOT = pathlib.Path(__file__).parents[2]
PRODUCT = 2 * 3072 * (2048 + 1008)  # Operations of the stand-in, per image.


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
  """The JSON record of all rows, the stand-in for Inception, and the print."""
  out = tmp_path_factory.mktemp("measured") / "metrics.json"
  rows = f"--rows={','.join(benchmark.ROWS)}"
  few = functools.partial(benchmark.measure_distances, dim=8, num=32)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(benchmark, "random_inception", benchmark.random_network)
    patch.setattr(benchmark.efficientnet_lite, "load", benchmark.random_network)
    patch.setattr(benchmark, "measure_distances", few)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
      command = [rows, f"--stream={STREAM}", "--images=600", f"--out={out}"]
      assert benchmark.main(command) == 0
  return json.loads(out.read_text()), printed.getvalue()


@pytest.mark.slow("watches the memory of processes")
def test_memory_grows_by_what_is_kept(measured):
  done = subprocess.run(
    [sys.executable, "-m", "tests.benchmarks.growth"],
    cwd=ROOT, env=os.environ | ALLOCATOR,
    capture_output=True, text=True, check=True,
  )  # fmt: skip
  found = json.loads(done.stdout)
  features_mb = 0.9 * STREAM * 2048 * 4 / 1e6
  assert found["written"] == pytest.approx(64, abs=8)
  assert found["nothing"] < features_mb / 2
  assert found["features"] > 0.9 * features_mb
  assert found["images"] == pytest.approx(204.8, rel=0.1)
  row = measured[0]["values"]["memory"]
  assert row["images"] == STREAM
  assert row["growth_mb"] == pytest.approx(
    row["resident_mb_at_100"] - row["resident_mb_at_10"]
  )


def test_all_rows_are_printed_and_written(measured):
  record, printed = measured
  assert set(record["values"]) == set(benchmark.ROWS)
  for fields in record["values"].values():
    for name, value in fields.items():
      assert name in printed
      assert value > 0 or name == "growth_mb"
  assert len(record["values"]["distances"]) == 6
  assert record["provenance"]["device"]["platform"] == "cpu"


@pytest.mark.parametrize(
  ("name", "num"), [("inception", 600), ("efflite0", 9600)]
)
def test_rates_fit_together(measured, name, num):
  found = measured[0]["values"][name]
  assert found["batch_size"] == 256
  assert found["images_per_second"] * found["seconds"] == pytest.approx(num)
  assert found["gflop_per_image"] == pytest.approx(PRODUCT / 1e9, rel=1e-2)
  assert found["gflops_per_second"] == pytest.approx(
    found["images_per_second"] * found["gflop_per_image"]
  )


def test_inception_is_the_whole_network_and_says_it_is_not_the_published_one():
  network = benchmark.random_inception()
  assert network.name.startswith("unofficial-inception-")
  assert network.facts["published"] is False
  # Inception-v3 has 5.7e9 multiplications and additions.
  one = dataclasses.replace(network, batch_size=1)
  found = benchmark.gflop(benchmark.lower(one))
  assert found == pytest.approx(2 * 5.7, rel=0.05)


def test_a_system_that_does_not_tell_its_memory(monkeypatch, capsys):
  monkeypatch.setattr(benchmark, "STATM", pathlib.Path("nowhere"))
  assert benchmark.main(["--rows=memory", "--stream=1"]) == 2
  assert "--rows=distances" in capsys.readouterr().err

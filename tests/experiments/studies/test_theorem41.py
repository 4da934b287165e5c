"""Theorem 4.1 in numbers: the simulation, and what is written."""

import json

import numpy as np
import pytest

from experiments.studies import theorem41


@pytest.fixture(scope="module")
def records():
  return theorem41.measure(variance=0.25, num=100_000, seed=3)


def test_simulated_errors_are_those_of_the_closed_forms(records):
  assert len(records) == len(theorem41.CHAINS) * (6 + 28)
  for r in records:
    away = abs(r["simulated_error"] - r["error"]) / r["standard_error"]
    assert away < 4.5, r
    # Of the mean of n squared Gaussian errors it is sqrt(2 / n) of the mean.
    expected = r["error"] * np.sqrt(2 / 100_000)
    assert r["standard_error"] == pytest.approx(expected, rel=0.05)


def test_only_high_order_frames_gain(records):
  for r in records:
    if r["given"] == 1:
      assert r["gain"] == r["simulated_gain"] == 0
    elif r["chain"] == "high_order":
      assert r["simulated_gain"] > 3 * r["standard_error_of_gain"]
      away = abs(r["simulated_gain"] - r["gain"])
      assert away < 4.5 * r["standard_error_of_gain"]
    else:
      assert abs(r["gain"]) < 1e-12
      assert abs(r["simulated_gain"]) < 2e-4 * r["error"]


def test_the_command_prints_and_writes(tmp_path, capsys):
  assert theorem41.main(["--num=1000", f"--out={tmp_path}"]) == 0
  text = capsys.readouterr().out
  for number in ("9.99027941824e-05", "9.95956451264e-05", "0.0207013"):
    assert number in text
  record = json.loads((tmp_path / "theorem41.json").read_text())
  assert record["num"] == 1000
  assert record["provenance"]["packages"]["numpy"] == np.__version__
  page = (tmp_path / "theorem41.html").read_text()
  assert page.count("<svg") == 4
  assert "9.99027941824e-05" in page


def test_mistakes_are_one_sentence(capsys):
  for argument in ("--variance=0", "--num=5", "--seed=-1", "--config=a.py"):
    assert theorem41.main([argument]) == 2
    assert capsys.readouterr().err.count("\n") == 1

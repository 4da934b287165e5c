"""The experiment on 1-D digits: a tiny run, and tables of records by hand."""

import copy
import re
import statistics

import pytest

from experiments.reporting import tables
from experiments.studies.mnist1d import __main__ as mnist1d
from pseudovideo.runs import results


@pytest.fixture(name="few")
def _few(monkeypatch):
  """One row: the others differ by their augmentation."""
  name = "high_order_4"
  monkeypatch.setattr(mnist1d, "VIDEOS", {name: mnist1d.VIDEOS[name]})


def metric(name, value):
  return {
    "name": name,
    "value": value,
    "definition": "A number.",
    "num_samples": 10,
    "reference_split": "test",
    "reference_size": 100,
    "feature_network": {"weights_hash": "abc"},
  }


def by_hand(work, name, seed, metrics, **fields):
  """Writes a record of one run with these scores."""
  record = {
    "metrics": metrics,
    "examples": [[0.0] * 40] * 3,
    "curves": {"train": [0.5, 0.25], "test": [0.75, 0.5]},
    "seeds": {"train": seed},
    "ema": True,
    "step": 1234,
    "images_seen": 1,
    "num_parameters": 2050,
    "network_evaluations": 150,
    "wall_seconds": {},
    "data": {"fingerprint": "f"},
    "config": mnist1d.config(work, name),
    "provenance": results.provenance(),
    **fields,
  }
  results.write(work.path(name, seed), record)
  return record


@pytest.fixture(name="records")
def _records(tmp_path):
  """A folder with records of the tiny preset, errors and distances known."""
  work = mnist1d.Work("tiny", str(tmp_path))
  for seed, error in ((0, 0.125), (1, 0.25)):
    for name, count in (("convolutional", 2050), ("fully_connected", 59065)):
      factor = 1 if count == 2050 else 2
      by_hand(
        work, name, seed,
        {
          "test": {"error": metric("error", factor * error)},
          "train": {"error": metric("error", 0.0625)},
        },
        num_parameters=count,
      )  # fmt: skip
  for name, value in (("one_frame", 321.0), ("blur_4", 123.5)):
    scores = {
      which: {
        "FD-mnist1dcls": metric("FD-mnist1dcls", factor * value),
        "FD-points": metric("FD-points", 0.0625),
      }
      for which, factor in (("generated", 1), ("real", 0))
    }
    scores["real"]["FD-mnist1dcls"]["value"] = 6.5
    by_hand(work, name, 0, scores)
  return tmp_path


def cells(text, label):
  line = next(line for line in text.splitlines() if line.startswith(label))
  return re.split(r"\s{2,}", line)


def test_report_prints_what_the_files_hold(records, capsys):
  assert mnist1d.main(["report", "--preset=tiny", f"--root={records}"]) == 0
  text = capsys.readouterr().out
  mean = statistics.mean([12.5, 25])
  std = statistics.stdev([12.5, 25])
  assert cells(text, "convolutional") == [
    "convolutional", "17", f"{mean:.1f} ± {std:.1f}", "6.2 ± 0.0", "2,050",
    "2", "2",
  ]  # fmt: skip
  assert cells(text, "fully connected")[1:3] == [
    "40", f"{2 * mean:.1f} ± {2 * std:.1f}"
  ]  # fmt: skip
  assert "59,065" in cells(text, "fully connected")
  assert "factor of 28.8" in text
  assert "almost 300 times" in text
  assert cells(text, "1 frame ") == [
    "1 frame", "321.0", "0.0625", "1,234", "150", "2,050", "1"
  ]  # fmt: skip
  assert cells(text, "4 frames, blur")[1] == "123.5"
  assert cells(text, "4 frames, high order")[1:] == [*[tables.NOTHING] * 5, "0"]
  assert cells(text, "training signals")[1:3] == ["6.5", "0.0625"]
  page = (records / "mnist1d" / "report-tiny.html").read_text()
  for part in ("<svg", "18.8 ± 8.8", "321.0", "held-out error, %"):
    assert part in page


@pytest.mark.parametrize("style", ["md", "csv"])
def test_report_in_other_formats(records, capsys, style):
  where = ["--preset=tiny", f"--results={records}", f"--root={records}/other"]
  if style not in mnist1d.report.FORMATS:
    pytest.skip("There is no such format.")
  assert mnist1d.main(["report", *where, f"--format={style}"]) == 0
  text = capsys.readouterr().out
  between = {"md": " | ", "csv": ","}[style]
  assert between.join(["convolutional", "17", "18.8 ± 8.8"]) in text
  assert ("almost 300" in text) == (style == "md")


def test_records_of_other_settings_or_networks_do_not_count(records, capsys):
  work = mnist1d.Work("tiny", str(records))
  path = work.path("blur_4", 0)
  record = results.read(path)
  other = copy.deepcopy(record)
  other["config"]["budget"]["updates"] += 1
  results.write(path, other)
  assert mnist1d.collect(work, str(records))["blur_4"] == []
  for scores in record["metrics"].values():
    scores["FD-mnist1dcls"]["feature_network"]["weights_hash"] = "def"
  results.write(path, record)
  assert mnist1d.main(["report", "--preset=tiny", f"--root={records}"]) == 2
  assert "different networks" in capsys.readouterr().err


def test_mistakes_are_sentences(tmp_path, capsys):
  where = f"--root={tmp_path}"
  assert mnist1d.main(["report", "--preset=tiny", where]) == 2
  assert "make them with run" in capsys.readouterr().err
  assert mnist1d.main(["run", "--preset=paper", where]) == 2
  assert "no preset named 'paper'" in capsys.readouterr().err


@pytest.mark.slow("trains classifiers and video models")
def test_a_tiny_run_is_reported_published_and_not_done_again(
  few, tmp_path, capsys
):
  root, published = tmp_path / "runs", tmp_path / "published"
  arguments = ["--preset=tiny", f"--root={root}"]
  assert mnist1d.main(["run", *arguments]) == 0
  paths = sorted((root / "mnist1d" / "digits-tiny").iterdir())
  assert [path.stem for path in paths] == [
    "convolutional-seed0", "convolutional-seed1", "fully_connected-seed0",
    "fully_connected-seed1", "high_order_4-seed0",
  ]  # fmt: skip
  before = [path.read_bytes() for path in paths]
  assert mnist1d.main(["run", *arguments, f"--publish={published}"]) == 0
  assert [path.read_bytes() for path in paths] == before
  copies = sorted((published / "mnist1d" / "digits-tiny").iterdir())
  assert [path.read_bytes() for path in copies] == before
  record = results.read(paths[-1])
  assert record["step"] == 2
  assert record["images_seen"] == 8
  assert record["network_evaluations"] == 3 * 2
  curve = results.read(paths[0])["curves"]["test"]
  assert len(curve) == 2
  capsys.readouterr()
  assert mnist1d.main(["report", *arguments]) == 0
  value = record["metrics"]["generated"]["FD-mnist1dcls"]["value"]
  assert cells(capsys.readouterr().out, "4 frames, high")[1] == f"{value:.1f}"

import copy
import json
import math
import os

import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.runs import record_fields, results


def _record():
  metric = {
    "name": "FD-digitscls",
    "value": np.float64(1.25),
    "definition": "A distance.",
    "num_samples": np.int64(100),
    "reference_split": "train",
    "reference_size": 1437,
  }
  return {
    "metrics": {"generated": {"FD-digitscls": metric}, "real": {}},
    "seeds": {"train": 0},
    "ema": True,
    "step": 1600,
    "images_seen": 1600 * 64,
    "num_parameters": 270_000,
    "network_evaluations": 18,
    "wall_seconds": {"train": 150.5},
    "config": {"model": {"widths": (32, 64), "dropout": None}},
    "provenance": results.provenance(),
  }


def test_reading_gives_back_what_was_written(tmp_path):
  path = tmp_path / "run" / "results.json"
  results.write(path, _record())
  expected = _record()
  expected["config"]["model"]["widths"] = [32, 64]
  found = results.read(path)
  found["provenance"]["date"] = expected["provenance"]["date"]
  assert found == expected
  assert [entry.name for entry in path.parent.iterdir()] == ["results.json"]


def test_writing_replaces_and_a_refused_record_leaves_the_old_file(tmp_path):
  path = tmp_path / "results.json"
  results.write(path, _record())
  results.write(path, {**_record(), "step": 7})
  with pytest.raises(errors.UserError):
    results.write(path, {**_record(), "step": None})
  assert results.read(path)["step"] == 7
  assert len(list(tmp_path.iterdir())) == 1


def test_a_number_that_is_not_finite_is_named(tmp_path):
  said = r"metrics\.generated\.FD-digitscls\.value"
  for value in (math.nan, np.float32("inf"), -math.inf):
    record = _record()
    record["metrics"]["generated"]["FD-digitscls"]["value"] = value
    with pytest.raises(errors.UserError, match=said):
      results.write(tmp_path / "results.json", record)
  assert not list(tmp_path.iterdir())


def test_every_field_is_required(tmp_path):
  for field in record_fields.FIELDS:
    record = _record()
    del record[field]
    with pytest.raises(errors.UserError, match=field):
      results.write(tmp_path / "results.json", record)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"step": True}, "'step'"),
    ({"step": 1.5}, "'step'"),
    ({"ema": 1}, "'ema'"),
    ({"config": {"model": object()}}, r"config\.model"),
    ({"metrics": {"generated": {"FD": {"name": "FD"}}}}, "value"),
    ({"metrics": {"generated": 3.0}}, "generated"),
    ({"provenance": {}}, "device"),
  ],
)
def test_mistakes_are_named(tmp_path, change, message):
  with pytest.raises(errors.UserError, match=message):
    results.write(tmp_path / "results.json", {**_record(), **change})


def test_a_score_may_be_a_whole_number_and_have_no_reference(tmp_path):
  record = _record()
  metric = record["metrics"]["generated"]["FD-digitscls"]
  metric.update(value=0, reference_split=None, reference_size=None)
  results.write(tmp_path / "results.json", record)
  found = results.read(tmp_path / "results.json")
  assert found["metrics"]["generated"]["FD-digitscls"]["value"] == 0


def test_reading_refuses_what_writing_would_have(tmp_path):
  path = tmp_path / "results.json"
  with pytest.raises(errors.UserError, match="cannot be read"):
    results.read(path)
  results.write(path, _record())
  good = json.loads(path.read_text())
  path.write_text(path.read_text()[:-20])
  with pytest.raises(errors.UserError, match="not valid"):
    results.read(path)
  path.write_text(json.dumps({**good, "extra": math.nan}))
  with pytest.raises(errors.UserError, match="holds NaN"):
    results.read(path)
  bad = copy.deepcopy(good)
  del bad["metrics"]["generated"]["FD-digitscls"]["definition"]
  path.write_text(json.dumps(bad))
  with pytest.raises(errors.UserError, match="definition"):
    results.read(path)
  path.write_text("[]")
  with pytest.raises(errors.UserError, match="mapping"):
    results.read(path)


def test_provenance_outside_a_checkout(tmp_path, monkeypatch):
  source = tmp_path / "results.py"
  source.touch()
  monkeypatch.setattr(results, "__file__", str(source))
  found = results.provenance()
  assert found["git_commit"] is None
  assert found["git_changed"] is None
  assert found["device"]["platform"] == "cpu"
  assert found["device"]["count"] == 4
  assert set(found) == set(record_fields.PROVENANCE_FIELDS)


def test_hostile_files_are_one_line(tmp_path):
  path = tmp_path / "results.json"
  results.write(path, _record())
  good = path.read_text().rstrip()
  for change in (
    '"more": ' + "[" * 200_000 + "]" * 200_000,
    '"more": 1e999',
    '"more": -1e999',
    '"more": ' + "9" * 5000,
    '"more": "\\ud800',
    '"provenance": ' + "[" * 900 + "]" * 900,
    '"step": "' + "x" * 1_000_000 + '"',
    '"step": "\\u001b[31m\\n"',
  ):
    path.write_text(f"{good[:-1].rstrip()}, {change}}}")
    with pytest.raises(errors.UserError) as caught:
      results.read(path)
    said = str(caught.value)
    assert str(path) in said and said.isprintable() and len(said) < 2000


def test_files_without_an_end_or_too_long(tmp_path, monkeypatch):
  os.mkfifo(tmp_path / "pipe")
  for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
    with pytest.raises(errors.UserError, match="cannot be read"):
      results.read(path)
  results.write(tmp_path / "results.json", _record())
  monkeypatch.setattr(results, "SIZE_LIMIT", 500)
  with pytest.raises(errors.UserError, match="has more than 500 bytes"):
    results.read(tmp_path / "results.json")

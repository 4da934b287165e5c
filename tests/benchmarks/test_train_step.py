import json

import pytest

from benchmarks import train_step


def test_it_prints_and_writes_what_it_measured(tmp_path, capsys):
  out = tmp_path / "step.json"
  code = train_step.run(
    ["--config=configs/hvae.py:preset=tiny", "--repeats=2", f"--out={out}"]
  )
  assert code == 0
  printed = capsys.readouterr().out
  record = json.loads(out.read_text())
  values = record["values"]
  images = values["images_per_second"] * values["seconds"]
  assert images == pytest.approx(16)
  for name in ("seconds", "gflop", "compile_seconds"):
    assert values[name] > 0
    assert name in printed
  assert record["config"]["train"]["batch_size"] == 16
  assert record["provenance"]["device"]["platform"] == "cpu"

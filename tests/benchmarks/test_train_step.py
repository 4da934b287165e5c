import json

import pytest

from benchmarks import train_step


@pytest.mark.slow
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
  assert "sampled_images_per_second" not in values
  assert record["config"]["train"]["batch_size"] == 16
  assert record["provenance"]["device"]["platform"] == "cpu"


@pytest.mark.slow
def test_samples_are_timed_if_asked_for(capsys):
  argv = ["--config=configs/hvae.py:preset=tiny", "--repeats=1", "--sampling"]
  assert train_step.run(argv) == 0
  assert "sampled_images_per_second" in capsys.readouterr().out


def test_a_mistake_is_one_sentence(capsys):
  assert train_step.main([]) == 2
  assert "--config=" in capsys.readouterr().err
  config = "--config=configs/hvae.py:preset=tiny"
  assert train_step.main([config, "--repeats=0"]) == 2
  assert "--repeats must be at least 1; got 0." in capsys.readouterr().err


def test_help_is_no_mistake(capsys):
  assert train_step.main(["--help"]) == 0
  assert "--repeats" in capsys.readouterr().out

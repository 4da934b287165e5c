"""No damage is silent; and one that is, is found."""

import json
import random

import pytest

from benchmarks import damage
from pseudovideo import checkpoints
from pseudovideo.data import cache


def fates(kept, num, folder):
  """How many met which fate, without those that none met."""
  found = damage.damaged(kept, num, random.Random(0), folder)
  assert sum(found["fates"].values()) == num
  return {fate: n for fate, n in found["fates"].items() if n}, found


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
  tiny_run, tmp_path
):
  judge = damage.checkpoint_judge(tiny_run, newest=8, before=4)
  kept = damage.Kept(tiny_run / checkpoints.FOLDER, "8", "4", judge)
  counts, found = fates(kept, 10, tmp_path)
  # Which files are hit depends on names that orbax draws anew for every run.
  assert {"detected"} <= counts.keys() <= {"detected", "identical"}
  assert "No undamaged checkpoint" in " ".join(found["sentences"].values())


def test_a_damaged_data_cache_is_named_and_made_again(tmp_path):
  (tmp_path / "kept").mkdir()
  kept = damage.data_cache(tmp_path / "kept")
  assert fates(kept, 25, tmp_path)[0] == {"detected": 25}


def test_without_checksums_damages_would_be_silent(tmp_path, monkeypatch):
  monkeypatch.setattr(cache, "_file_hash", lambda path: "")
  (tmp_path / "kept").mkdir()
  kept = damage.data_cache(tmp_path / "kept")
  counts, found = fates(kept, 25, tmp_path)
  assert counts["silent"] >= 5
  bad = [each for each in found["bad"] if each["fate"] == "silent"]
  assert len(bad) == counts["silent"]
  assert all(each["file"].endswith(".npy") for each in bad)


@pytest.mark.slow
def test_all_rows(tmp_path, capsys):
  out = tmp_path / "damage.json"
  assert damage.main(["--damages=10", f"--out={out}"]) == 0
  record = json.loads(out.read_text())
  assert list(record["values"]) == list(damage.ROWS)
  for name, found in record["values"].items():
    assert found["fates"]["silent"] == found["fates"]["unnamed"] == 0
    # Of caches every byte is read.
    assert name == "checkpoint" or found["fates"]["detected"] == 10
  assert capsys.readouterr().out.count("10 detected") == 3


@pytest.mark.parametrize(
  "flag, sentence",
  [
    ("--rows=token", "no --rows named 'token'"),
    ("--damages=0", "--damages must be at least 1; got 0."),
    ("--config=configs/hvae.py", "takes no config"),
  ],
)
def test_a_mistake_is_one_sentence(flag, sentence, capsys):
  assert damage.main([flag]) == 2
  assert sentence in capsys.readouterr().err

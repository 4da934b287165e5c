"""No damage is silent; and one that is, is found."""

import random

import numpy as np
import pytest

from benchmarks import damage
from pseudovideo.data import cache
from pseudovideo.runs import checkpoints


def fates(kept, num, folder):
  """The number of damages by fate, without fates that none met."""
  found = damage.damaged(kept, num, random.Random(0), folder)
  assert sum(found["fates"].values()) == num
  return {fate: n for fate, n in found["fates"].items() if n}, found


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(tmp_path):
  run = tmp_path / "run"
  store = checkpoints.Checkpoints(run / checkpoints.FOLDER)
  for step in (4, 8):
    state = {name: {"w": np.full((9, 9), step)} for name in damage.PARTS}
    store.save(step, state, config={})
  store.close()
  judge = damage.checkpoint_judge(run, newest=8, before=4)
  kept = damage.Kept(run / checkpoints.FOLDER, "8", "4", judge)
  counts, found = fates(kept, 10, tmp_path)
  # Which files are hit depends on names that orbax draws anew for every run.
  assert {"detected"} <= counts.keys() <= {"detected", "identical"}
  assert "No undamaged checkpoint" in " ".join(found["sentences"].values())


@pytest.mark.parametrize(
  "row",
  [
    "data_cache",
    pytest.param(
      "classifier_cache", marks=pytest.mark.slow("trains a classifier")
    ),
    pytest.param(
      "features_cache", marks=pytest.mark.slow("computes features 25 times")
    ),
  ],
)
def test_a_damaged_cache_is_named_and_made_again(tmp_path, row):
  (tmp_path / "kept").mkdir()
  kept = damage.ROWS[row](tmp_path / "kept")
  counts, _ = fates(kept, 25, tmp_path)
  # Nothing needs the time of the last use, nor a file that was removed.
  assert counts.keys() <= {"detected", "identical"}
  assert counts["detected"] >= 15


def test_without_checksums_damages_would_be_silent(tmp_path, monkeypatch):
  monkeypatch.setattr(cache.untrusted, "sha256", lambda path: "")
  (tmp_path / "kept").mkdir()
  kept = damage.data_cache(tmp_path / "kept")
  counts, found = fates(kept, 25, tmp_path)
  assert counts["silent"] >= 5
  bad = [each for each in found["bad"] if each["fate"] == "silent"]
  assert len(bad) == counts["silent"]
  assert all(each["file"].endswith(".npy") for each in bad)

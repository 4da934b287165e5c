"""Checkpoints of earlier versions are read with today's names."""

import json

import jax
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.runs import checkpoints
from pseudovideo.runs.checkpoints import entries, older, reading

RNG = np.random.default_rng(0)
OLD = {
  "ema": {"network": {"kernel": RNG.normal(size=3)}},
  "extra": {
    "quantizer": {"codebook": RNG.normal(size=(4, 2))},
    "perceptual": {"head": RNG.normal(size=2)},
    "tokenizer": {
      "params": {"network": {"kernel": RNG.normal(size=2)}},
      "extra": {"quantizer": {"counts": RNG.normal(size=4)}},
    },
  },
}
TODAY = {
  "state": {"quantizer": OLD["extra"]["quantizer"]},
  "frozen": {
    "perceptual": OLD["extra"]["perceptual"],
    "tokenizer": {
      "params": OLD["extra"]["tokenizer"]["params"],
      "extra": {"state": OLD["extra"]["tokenizer"]["extra"]},
    },
  },
}


@pytest.fixture
def old(tmp_path):
  """A run's folder with a checkpoint as an earlier version wrote it."""
  store = checkpoints.Checkpoints(tmp_path / checkpoints.FOLDER)
  store.save(7, OLD, config={}, wait=True)
  store.close()
  path = tmp_path / checkpoints.FOLDER / "7" / reading.METADATA
  record = json.loads(path.read_text())
  kept = record["custom_metadata"]
  del kept["manifest"]["format"]
  kept["sha256"] = entries.manifest_hash(kept["manifest"])
  path.write_text(json.dumps(record))
  return tmp_path


def same(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_what_changes_and_what_is_frozen_are_apart(old):
  step, parts, _ = checkpoints.load(old)
  assert step == 7
  same(parts, {"ema": OLD["ema"], "extra": TODAY})


def test_training_resumes(old):
  store = checkpoints.Checkpoints(old / checkpoints.FOLDER)
  like = {"ema": OLD["ema"], "extra": TODAY}
  step, state, _ = store.restore(like=like)
  store.close()
  assert step == 7
  same(state, like)


def test_today_s_names_stay_as_they_are(tmp_path):
  """Also where a task of one's own keeps an entry of an old name."""
  store = checkpoints.Checkpoints(tmp_path / checkpoints.FOLDER)
  store.save(1, OLD, config={}, wait=True)
  store.close()
  same(checkpoints.load(tmp_path)[1], OLD)


def test_a_later_format_is_refused_and_stays(tmp_path, monkeypatch):
  store = checkpoints.Checkpoints(tmp_path / checkpoints.FOLDER)
  with monkeypatch.context() as patch:
    patch.setattr(older, "FORMAT", 99)
    store.save(1, OLD, config={}, wait=True)
  with pytest.raises(errors.UserError, match="format 99"):
    store.restore(like=OLD)
  with pytest.raises(errors.UserError, match="format 99"):
    checkpoints.facts(tmp_path)
  assert store.steps() == [1]
  store.close()

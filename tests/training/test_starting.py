"""Going on: with a changed config, and from another run's weights."""

import copy
import json

import jax
import numpy as np
import pytest

from configs import video_diffusion
from pseudovideo import errors, main, runs
from pseudovideo.config import parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.runs import checkpoints
from pseudovideo.runs.checkpoints import entries, reading
from pseudovideo.training import loop
from tests.training import small_runs as small


def same(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  jax.tree.map(np.testing.assert_array_equal, one, other)


def parts(workdir, step=None):
  return checkpoints.load(workdir, step, small.PARTS)[1]


def still(raw, start_from):
  """The config with one more update, which changes nothing."""
  raw = copy.deepcopy(raw)
  raw["train"] |= dict(steps=1, save_every=1, start_from=str(start_from))
  raw["optimizer"] |= dict(learning_rate=1e-30, schedule="constant")
  raw["optimizer"]["warmup_steps"] = 0
  if "discriminator_optimizer" in raw:
    raw["discriminator_optimizer"] |= dict(
      learning_rate=1e-30, schedule="constant", warmup_steps=0
    )
  return raw


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("trained")
  loop.train(small.config(), workdir)
  return workdir


def test_the_weights_and_their_average_are_taken(trained, tmp_path):
  loop.train(still(small.config(), trained), tmp_path)
  old, new = parts(trained), parts(tmp_path)
  same(new["params"], old["params"])
  # The average is of new updates, in as far as they change anything.
  assert new["step"] == 1
  before = evaluate.draw(runs.restore(trained), 4).images.astype(int)
  after = evaluate.draw(runs.restore(tmp_path), 4).images.astype(int)
  assert abs(before - after).mean() < 30
  moments = [leaf for leaf in jax.tree.leaves(new["opt_state"]) if leaf.ndim]
  assert all(np.isfinite(leaf).all() for leaf in moments)


@pytest.mark.parametrize(
  "name",
  [
    "tiny_video_run",
    pytest.param(
      "tiny_tokenizer_run", marks=pytest.mark.slow("trains a tokenizer")
    ),
  ],
)
def test_tasks_with_a_state_start_too(name, request, tmp_path):
  other = request.getfixturevalue(name)
  raw = runs.saved_config(other).raw
  loop.train(still(raw, other), tmp_path)
  same(parts(tmp_path)["params"], parts(other)["params"])


def test_another_network_is_refused(trained, tmp_path):
  raw = small.config(start_from=str(trained))
  raw["model"]["groups"] = raw["model"]["channels"] = 4
  with pytest.raises(errors.UserError, match="does not fit"):
    loop.train(raw, tmp_path / "wide")
  raw = parsing.complete(video_diffusion.get_config("preset=tiny,frames=1"))
  raw["model"] |= dict(multipliers=(1,), attention=())
  raw["train"]["start_from"] = str(trained)
  with pytest.raises(errors.UserError, match="does not fit"):
    loop.train(raw, tmp_path / "other")
  raw = small.config(start_from=str(tmp_path / "nowhere"))
  with pytest.raises(errors.UserError, match="no checkpoint"):
    loop.train(raw, tmp_path / "none")


def test_it_is_a_run_of_its_own(trained, tmp_path):
  """It resumes by itself, and knows what its weights were trained on."""
  photos = small.photos(tmp_path / "photos", map(str, range(30)))
  raw = small.config(f"folder:{photos}", start_from=str(trained))
  raw["optimizer"] |= dict(schedule="cosine", warmup_steps=1)
  workdir = tmp_path / "run"
  loop.train(raw, workdir)
  record = checkpoints.facts(workdir).data
  assert record["earlier"] == [
    {
      "fingerprint": checkpoints.facts(trained).data["fingerprint"],
      "until_step": 0,
    }
  ]
  whole = small.final_hash(workdir)
  (workdir / checkpoints.FOLDER / "6").rename(tmp_path / "gone")
  raw["train"]["start_from"] = ""
  loop.train(raw, workdir)
  assert small.final_hash(workdir) == whole


@pytest.mark.slow("trains two runs")
def test_the_split_of_a_folder_stays(tmp_path):
  photos = small.photos(tmp_path / "photos", map(str, range(30)))
  data = f"folder:{photos}"
  loop.train(small.config(data, steps=2), tmp_path / "one")
  small.photos(photos, map(str, range(30, 90)))
  raw = small.config(data, steps=2, start_from=str(tmp_path / "one"))
  loop.train(raw, tmp_path / "two")
  one, two = (checkpoints.facts(tmp_path / n).data for n in ("one", "two"))
  assert one["held_out"] == two["held_out"]


def test_a_longer_cosine_run_is_told_where_to_go(tmp_path, capsys):
  raw = small.config()
  raw["optimizer"] |= dict(schedule="cosine", warmup_steps=1)
  loop.train(raw, tmp_path)
  assert main.main([f"--workdir={tmp_path}", "--config.train.steps=9"]) == 2
  said = capsys.readouterr().err
  assert f"--config.train.start_from={tmp_path}" in said


@pytest.mark.parametrize("mode", ["train", "sample", "evaluate"])
def test_the_saved_config_can_be_changed_in_every_mode(
  mode, trained, tmp_path, capsys
):
  command = [f"--workdir={trained}", f"--mode={mode}"]
  assert main.main([*command, "--config.model.channels=12"]) == 2
  assert "model.channels is 12" in capsys.readouterr().err
  assert main.main([*command, "--config.evaluate.seed=5"]) == 0
  assert main.main([*command, "--config.train.stepz=5"]) == 2
  assert "'steps'" in capsys.readouterr().err
  command[0] = f"--workdir={tmp_path}"
  assert main.main([*command, "--config.evaluate.seed=5"]) == 2
  assert "no checkpoint" in capsys.readouterr().err


def test_fields_that_are_newer_than_a_run(trained, tmp_path, capsys):
  """They have their defaults; a config that sets them is told so."""
  loop.train(small.config(), tmp_path)
  path = max((tmp_path / checkpoints.FOLDER).iterdir()) / reading.METADATA
  record = json.loads(path.read_text())
  kept = record["custom_metadata"]
  del kept["manifest"]["config"]["model"]["dropout"]
  del kept["manifest"]["config"]["data"]["background"]
  kept["sha256"] = entries.manifest_hash(kept["manifest"])
  path.write_text(json.dumps(record))
  default = runs.saved_config(tmp_path).raw["model"]["dropout"]
  changed = f"--config.model.dropout={default + 0.25}"
  assert main.main([f"--workdir={tmp_path}", changed]) == 2
  said = capsys.readouterr().err
  assert "older than model.dropout" in said
  assert main.main([f"--workdir={trained}", changed]) == 2
  assert "older than" not in capsys.readouterr().err
  assert main.main([f"--workdir={tmp_path}"]) == 0


def test_the_split_of_another_folder_is_its_own(tmp_path):
  """Cameras give the same names again and again."""
  names = [str(i) for i in range(30)]
  one = small.photos(tmp_path / "photos", names)
  loop.train(small.config(f"folder:{one}", steps=2), tmp_path / "one")
  held_out = checkpoints.facts(tmp_path / "one").data["held_out"]
  others = [f"x{name}" for name in names]
  few = [held_out[0].removesuffix(".png")]
  two = small.photos(tmp_path / "other", others + few, seed=1)
  raw = small.config(f"folder:{two}", start_from=str(tmp_path / "one"))
  loop.train(raw, tmp_path / "two")
  assert len(checkpoints.facts(tmp_path / "two").data["held_out"]) == 4

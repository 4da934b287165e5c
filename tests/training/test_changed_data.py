"""Data that change, move or are gone after a run was trained on them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pseudovideo import errors, main, runs
from pseudovideo.evaluation import evaluate
from pseudovideo.runs import checkpoints, trained_on
from pseudovideo.runs.checkpoints import entries, reading
from pseudovideo.training import loop
from tests.training import small_runs as small

OLD = [f"old{i}" for i in range(30)]


@pytest.fixture
def trained(tmp_path):
  """A folder of photos, and a run of it."""
  photos = small.photos(tmp_path / "photos", OLD)
  workdir = tmp_path / "run"
  loop.train(small.config(f"folder:{photos}", steps=2), workdir)
  return photos, workdir


def facts(workdir):
  return checkpoints.facts(workdir).data


def go_on(workdir, *arguments):
  return main.main(
    [f"--workdir={workdir}", "--config.train.steps=4", *arguments]
  )


def replace(photos):
  shutil.rmtree(photos)
  small.photos(photos, OLD, seed=1)


def change_one_pixel(photos):
  path = photos / "old3.png"
  pixels = np.array(Image.open(path))
  pixels[0, 0] ^= 1
  Image.fromarray(pixels).save(path)


SLOW = pytest.mark.slow("trains on after every kind of change")
QUICK = ("one renamed",)
CHANGES = {
  "others in their place": replace,
  "one more": lambda photos: small.photos(photos, ["new"]),
  "one less": lambda photos: (photos / "old7.png").unlink(),
  "one renamed": lambda photos: (photos / "old7.png").rename(photos / "0.png"),
  "one pixel": change_one_pixel,
}


@pytest.mark.parametrize(
  "change",
  [
    pytest.param(change, id=name, marks=() if name in QUICK else SLOW)
    for name, change in CHANGES.items()
  ],
)
def test_other_images_are_refused_until_accepted(trained, change, capsys):
  photos, workdir = trained
  before = facts(workdir)
  change(photos)
  assert go_on(workdir) == 2
  said = capsys.readouterr().err
  now = runs.restore(workdir).image_set
  assert before["fingerprint"][:12] in said and now.fingerprint[:12] in said
  assert "--config.data.accept_changed=True" in said
  assert facts(workdir) == before
  assert go_on(workdir, "--config.data.accept_changed=True") == 0
  after = facts(workdir)
  assert after["fingerprint"] == now.fingerprint
  assert after["earlier"] == [
    {"fingerprint": before["fingerprint"], "until_step": 2}
  ]
  # Once accepted, they are what the run is trained on.
  assert main.main([f"--workdir={workdir}", "--config.train.steps=5"]) == 0
  change_one_pixel(photos)
  assert go_on(workdir, "--config.train.steps=6") == 2


def test_the_split_stays_when_images_are_added(trained):
  photos, workdir = trained
  held_out = facts(workdir)["held_out"]
  assert len(held_out) == 3
  small.photos(photos, [f"new{i}" for i in range(40)])
  assert go_on(workdir, "--config.data.accept_changed=True") == 0
  assert facts(workdir)["held_out"] == held_out
  run = runs.restore(workdir)
  assert run.image_set.held_out_names == tuple(held_out)
  assert len(run.image_set.train_images) == 67


def test_an_evaluation_names_other_images(trained, capsys):
  photos, workdir = trained
  evaluate.evaluate(runs.restore(workdir))
  assert "other data" not in capsys.readouterr().out
  before = facts(workdir)["fingerprint"]
  replace(photos)
  run = runs.restore(workdir)
  found = evaluate.evaluate(run)["data"]
  assert found["trained_on"] == before
  assert found["fingerprint"] == run.image_set.fingerprint != before
  assert "other data" in capsys.readouterr().out
  assert len(trained_on.sentences(found)) == 1


@SLOW
def test_the_place_may_change(trained, tmp_path, capsys):
  photos, workdir = trained
  moved = photos.rename(tmp_path / "elsewhere")
  assert go_on(workdir) == 2
  assert str(photos) in capsys.readouterr().err
  assert go_on(workdir, f"--config.data.name=folder:{moved}") == 0
  assert go_on(workdir, "--config.train.steps=5") == 0, "remembered"
  others = small.photos(tmp_path / "others", OLD, seed=1)
  for mode in ("train", "evaluate", "sample"):
    capsys.readouterr()
    other = f"--config.data.name=folder:{others}"
    assert main.main([f"--workdir={workdir}", f"--mode={mode}", other]) == 2
    assert "accept_changed" in capsys.readouterr().err


@SLOW
def test_what_was_ever_held_out_stays_held_out(trained):
  """Photos that were away for a while come back to where they were."""
  photos, workdir = trained
  held_out = facts(workdir)["held_out"]
  accept = "--config.data.accept_changed=True"
  (photos / held_out[0]).unlink()
  assert go_on(workdir, accept) == 0
  small.photos(photos, OLD)
  assert go_on(workdir, accept, "--config.train.steps=6") == 0
  assert set(runs.restore(workdir).image_set.held_out_names) == set(held_out)


@SLOW
def test_a_new_split_of_old_images_is_said(trained, capsys):
  photos, workdir = trained
  before = facts(workdir)
  for name in before["held_out"]:
    (photos / name).unlink()
  assert go_on(workdir, "--config.data.accept_changed=True") == 0
  after = facts(workdir)
  assert set(after["held_out"]) > set(before["held_out"])
  capsys.readouterr()
  evaluate.evaluate(runs.restore(workdir))
  said = capsys.readouterr().out
  assert "until step 2" in said and before["fingerprint"][:12] in said


def test_another_shape_is_never_accepted(trained, capsys):
  photos, workdir = trained
  for path in photos.iterdir():
    Image.open(path).resize((16, 16)).save(path)
  assert go_on(workdir, "--config.data.accept_changed=True") == 2
  assert "(16, 16, 1)" in capsys.readouterr().err


def test_a_finished_run_is_scored_on_other_data(trained, capsys):
  """Nothing is left to train on them; the scores say it."""
  photos, workdir = trained
  before = facts(workdir)
  replace(photos)
  assert main.main([f"--workdir={workdir}"]) == 0
  assert facts(workdir) == before


@SLOW
def test_the_step_before_a_damaged_one_was_of_other_data(trained, capsys):
  photos, workdir = trained
  before = facts(workdir)
  replace(photos)
  accept = "--config.data.accept_changed=True"
  assert go_on(workdir, accept) == 0
  path = workdir / checkpoints.FOLDER / "4" / "state" / "manifest.ocdbt"
  path.unlink()
  more = "--config.train.steps=6"
  assert go_on(workdir, more) == 2
  assert "same command again" in capsys.readouterr().err
  assert go_on(workdir, more) == 2, "the photos of step 2 are others"
  assert go_on(workdir, more, accept) == 0
  after = facts(workdir)
  assert after["earlier"] == [
    {"fingerprint": before["fingerprint"], "until_step": 2}
  ]
  assert set(before["held_out"]) <= set(after["held_out"])


def test_sampling_needs_no_data(trained, capsys):
  photos, workdir = trained
  before = evaluate.draw(runs.restore(workdir), 4).images
  shutil.rmtree(photos)
  np.testing.assert_array_equal(
    evaluate.draw(runs.restore(workdir), 4).images, before
  )
  arguments = [f"--workdir={workdir}", "--mode=sample", "--num_samples=4"]
  assert main.main(arguments) == 0
  assert main.main([f"--workdir={workdir}", "--mode=evaluate"]) == 2
  assert str(photos) in capsys.readouterr().err


def test_an_older_run_goes_on_with_a_warning(trained, caplog):
  _, workdir = trained
  (step,) = (workdir / checkpoints.FOLDER).iterdir()
  path = step / reading.METADATA
  record = json.loads(path.read_text())
  kept = record["custom_metadata"]
  held_out = kept["manifest"].pop("data")["held_out"]
  del kept["manifest"]["progress"]
  kept["manifest"]["format"] = 2
  kept["sha256"] = entries.manifest_hash(kept["manifest"])
  path.write_text(json.dumps(record))
  assert facts(workdir) is None
  assert runs.restore(workdir).image_set.held_out_names == tuple(held_out)
  assert go_on(workdir) == 0
  assert "no fingerprint" in caplog.text
  assert facts(workdir)["held_out"] == held_out
  assert facts(workdir)["earlier"] == []
  steps = [row["step"] for row in small.rows(workdir)]
  assert steps == [1, 2, 3, 4]


def test_a_run_of_a_set_with_a_name_remembers_it_too(tmp_path):
  loop.train(small.config(steps=2), tmp_path)
  image_set = runs.restore(tmp_path).image_set
  assert facts(tmp_path) == {
    "fingerprint": image_set.fingerprint,
    "image_shape": [8, 8, 1],
    "classes": 10,
    "held_out": None,
    "earlier": [],
  }
  with pytest.raises(errors.UserError, match=r"data\.name"):
    loop.train(small.config("folder:somewhere", steps=4), tmp_path)

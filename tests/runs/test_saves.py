"""A save counts when it was read back, is finite, and is this run's own."""

import math
import os
from unittest import mock

import jax.numpy as jnp
import pytest

from pseudovideo import errors
from pseudovideo.runs import checkpoints
from pseudovideo.runs.checkpoints import (
  entries,
  reading,
  restoring,
  writing,
)
from tests.runs.states import CONFIG, bits, make_state


@pytest.fixture
def directory(tmp_path):
  """Steps 1 and 2, of seeds 1 and 2."""
  store = checkpoints.Checkpoints(tmp_path / "pair")
  for step in (1, 2):
    store.save(step, make_state(step), config=CONFIG)
  store.close()
  return tmp_path / "pair"


def names(directory):
  return {path.name for path in directory.iterdir()}


def files(directory):
  return {p: p.stat().st_mtime_ns for p in directory.rglob("*") if p.is_file()}


def test_saving_the_same_step_again_does_nothing(directory):
  directory = directory
  before = files(directory)
  store = checkpoints.Checkpoints(directory)
  store.save(2, make_state(2), config={}, wait=True)
  store.close()
  assert before == files(directory)


def test_a_step_of_another_run_does_not_count_as_saved(directory):
  directory = directory
  store = checkpoints.Checkpoints(directory)
  store.save(2, make_state(9), config=CONFIG, wait=True)
  assert bits(store.restore(2, like=make_state(0))[1]) == bits(make_state(9))
  assert names(directory) == {"1", "2", "replaced-2"}
  store.close()


def lose_the_arrays(path, *args, write=writing.write):
  """Writes a checkpoint whose arrays then vanish, as orbax once did."""
  with mock.patch.object(reading, "verify"):
    write(path, *args)
  (path / "state" / "manifest.ocdbt").unlink()
  reading.verify(path)


def test_a_save_that_cannot_be_read_back_is_none(directory, monkeypatch):
  directory = directory
  store = checkpoints.Checkpoints(directory, keep=1)
  monkeypatch.setattr(writing, "write", lose_the_arrays)
  with pytest.raises(errors.UserError, match="Step 3 could not be saved"):
    store.save(3, make_state(3), config=CONFIG, wait=True)
  assert store.steps() == [1, 2]
  assert names(directory) == {"1", "2"}
  store.close()


@pytest.mark.parametrize(
  "name",
  [
    *("run[0]", "lr=[1e-3]", "[!a]", "[", "a*b", "what?", "{x}", "a b", "%20"),
    *("#1", "ä", '"', "back\\slash", "a;b", "$HOME", "a\nb", "\udcff", "日本"),
  ],
)
def test_any_name_of_a_folder_works(name, tmp_path):
  workdir = tmp_path / name / "run"
  store = checkpoints.Checkpoints(workdir / checkpoints.FOLDER)
  store.save(1, make_state(1), config=CONFIG, wait=True)
  assert bits(store.restore(like=make_state(0))[1]) == bits(make_state(1))
  store.close()
  assert checkpoints.load(workdir, parts=["step"])[1] == {"step": 1}
  assert os.listdir(workdir / checkpoints.FOLDER) == ["1"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_not_saved(value, directory):
  store = checkpoints.Checkpoints(directory)
  state = make_state(3)
  state["params"]["dense"]["bias"] = jnp.full(6, value)
  with pytest.raises(errors.RunError, match=r"dense\.bias is not finite"):
    store.save(3, state, config=CONFIG, wait=True)
  assert store.steps() == [1, 2]
  store.close()


def test_a_checkpoint_that_is_not_finite_is_passed_over(tmp_path):
  """As versions before this one wrote."""
  store = checkpoints.Checkpoints(tmp_path)
  with mock.patch.object(entries, "is_finite", return_value=True):
    store.save(1, make_state(1), config=CONFIG, wait=True)
    state = make_state(2)
    state["params"]["dense"]["bias"] = jnp.full(6, math.nan)
    store.save(2, state, config=CONFIG, wait=True)
  assert store.restore(like=make_state(0))[0] == 1
  store.close()


@pytest.mark.parametrize("through", ["a/../run", "./run", "link"])
def test_other_ways_to_a_folder_work(through, tmp_path):
  (tmp_path / "a").mkdir()
  (tmp_path / "link").symlink_to(tmp_path / "run")
  workdir = tmp_path / through
  store = checkpoints.Checkpoints(workdir / checkpoints.FOLDER)
  store.save(1, make_state(1), config=CONFIG, wait=True)
  store.close()
  for place in (workdir, tmp_path / "run"):
    assert checkpoints.load(place, parts=["step"])[1] == {"step": 1}


def test_a_step_that_its_writer_deletes_meanwhile_is_no_damage(
  directory, monkeypatch, caplog
):
  """A reader looked at the list of steps before, and opens it after."""
  read = reading.read_manifest
  store = checkpoints.Checkpoints(directory, keep=1)

  def late(path):
    if path.name == "2" and 3 not in store.steps():
      monkeypatch.setattr(reading, "read_manifest", read)
      store.save(3, make_state(3), config=CONFIG, wait=True)
    return read(path)

  monkeypatch.setattr(reading, "read_manifest", late)
  found = restoring.read_good(directory, None, True, lambda manifest: [])
  assert found is not None and found[0]["step"] == 3
  assert "damaged" not in caplog.text
  store.close()

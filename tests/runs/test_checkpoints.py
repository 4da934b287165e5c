"""Checkpoints: exact, checked, atomic; failures in sentences."""

import contextlib
import errno
import json
import logging
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from orbax.checkpoint import v1 as ocp

from pseudovideo import errors
from pseudovideo.runs import checkpoints
from tests.runs.states import CONFIG, bits, make_state


def on_devices(tree: dict, num: int) -> dict:
  """Kernels split over `num` devices, everything else replicated."""
  mesh = Mesh(np.array(jax.devices()[:num]), ("data",))

  def put(x):
    split = x.shape == (8, 6)
    spec = PartitionSpec("data") if split else PartitionSpec()
    return jax.device_put(x, NamedSharding(mesh, spec))

  return jax.tree.map(put, tree)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A directory with the steps 1 and 2; tests copy it."""
  directory = tmp_path_factory.mktemp("pair") / checkpoints.FOLDER
  store = checkpoints.Checkpoints(directory)
  for step in (1, 2):
    store.save(step, make_state(step), config=CONFIG)
  store.close()
  return directory


def copy(pair: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
  shutil.copytree(pair, to / checkpoints.FOLDER)
  return to / checkpoints.FOLDER


def files(directory: pathlib.Path) -> list[pathlib.Path]:
  return sorted(path for path in directory.rglob("*") if path.is_file())


def test_every_kind_of_leaf_returns_bit_for_bit(tmp_path, recwarn):
  state = make_state(3)
  store = checkpoints.Checkpoints(tmp_path)
  assert store.restore(like=state) is None and store.latest_step() is None
  store.save(3, state, config=CONFIG)
  store.wait()
  for like in (state, jax.eval_shape(lambda: state)):
    step, restored, config = store.restore(like=like)
    assert (step, config) == (3, CONFIG)
    assert bits(restored) == bits(state)
  store.close()
  assert not any("pickle" in path.name for path in files(tmp_path))
  assert not [w for w in recwarn if "topology" in str(w.message)]


@pytest.mark.parametrize("saved, wanted", [(4, 1), (2, 4)])
def test_the_number_of_devices_may_change(tmp_path, recwarn, saved, wanted):
  state = make_state(1)
  store = checkpoints.Checkpoints(tmp_path)
  store.save(1, on_devices(state, saved), config=CONFIG)
  like = on_devices(make_state(0), wanted)
  restored = store.restore(like=like)[1]
  store.close()
  assert bits(restored) == bits(state)
  for leaf, want in zip(
    jax.tree.leaves(restored), jax.tree.leaves(like), strict=True
  ):
    assert leaf.sharding == want.sharding
  assert not [w for w in recwarn if "topology" in str(w.message)]


def test_numpy_stays_numpy_and_uncommitted_stays_uncommitted(pair, tmp_path):
  like = make_state(0)
  store = checkpoints.Checkpoints(copy(pair, tmp_path))
  restored = store.restore(like=like)[1]
  assert isinstance(restored["extra"]["half"], np.ndarray)
  # A committed key could not enter a step over several devices.
  assert not restored["extra"]["key"].committed
  assert store.restore(like=on_devices(like, 1))[1]["step"].committed


@pytest.mark.parametrize("num", [1, 4])
def test_the_saved_and_the_restored_state_may_be_donated(tmp_path, num):
  def step(tree):
    return jax.tree.map(lambda x: x * 2 + 1, tree)

  donating = jax.jit(step, donate_argnums=0)
  state = on_devices({"params": {"w": jnp.ones((512, 512))}}, num)
  state = donating(state)
  store = checkpoints.Checkpoints(tmp_path, keep=9)
  wanted = []
  for number in range(4):
    wanted.append(np.array(state["params"]["w"]))
    store.save(number, state, config={})
    old, state = state, donating(state)
    assert old["params"]["w"].is_deleted()
  for number in range(4):
    restored = store.restore(number, like=state)[1]
    np.testing.assert_array_equal(restored["params"]["w"], wanted[number])
  after = donating(restored)
  assert restored["params"]["w"].is_deleted()
  np.testing.assert_array_equal(after["params"]["w"], state["params"]["w"])
  store.close()


def test_saving_copies_numpy_arrays(tmp_path):
  state = {"extra": {"w": np.zeros(1000)}}
  store = checkpoints.Checkpoints(tmp_path)
  store.save(1, state, config={})
  state["extra"]["w"][:] = 7
  assert not store.restore(like=state)[1]["extra"]["w"].any()
  store.close()


def flip(path: pathlib.Path, rng: random.Random) -> None:
  data = bytearray(path.read_bytes())
  data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
  path.write_bytes(data)


def truncate(path: pathlib.Path, rng: random.Random) -> None:
  data = path.read_bytes()
  path.write_bytes(data[: rng.randrange(len(data))])


def remove(path: pathlib.Path, rng: random.Random) -> None:
  del rng
  path.unlink()


def fate(directory: pathlib.Path, caplog: pytest.LogCaptureFixture) -> str:
  """Restores after step 2 was damaged; fails if the damage is silent."""
  caplog.clear()
  store = checkpoints.Checkpoints(directory)
  step, state, config = store.restore(like=make_state(0))
  assert bits(state) == bits(make_state(step)) and config == CONFIG
  if step == 2:
    return "harmless"
  assert store.steps() == [1] and (directory / "damaged-2").is_dir()
  assert "2 is damaged: " in caplog.text and "Step 1" in caplog.text
  store.close()
  return "detected"


@pytest.mark.parametrize(
  "damage, rounds", [(flip, 3), (truncate, 1), (remove, 1)]
)
def test_no_damage_to_any_file_is_silent(
  pair, tmp_path, caplog, capfd, damage, rounds
):
  rng = random.Random(0)
  fates = []
  for number, path in enumerate(files(pair / "2") * rounds):
    if damage is not remove and not path.stat().st_size:
      continue
    directory = copy(pair, tmp_path / str(number))
    damage(directory / path.relative_to(pair), rng)
    fates.append(fate(directory, caplog))
  # Of orbax's twelve or so files a restore reads half.
  assert len(fates) >= 10 * rounds and fates.count("detected") >= 3 * rounds
  assert "Traceback" not in capfd.readouterr().err


def test_flips_that_orbax_restores_without_a_word_are_detected(
  tmp_path, caplog
):
  rng = random.Random(1)
  w = np.random.default_rng(0).normal(size=(64, 64))
  store = checkpoints.Checkpoints(tmp_path / "pair")
  for step in (1, 2):
    store.save(step, {"params": {"w": w + step}}, config={}, wait=True)
  store.close()
  sizes = {path: path.stat().st_size for path in files(tmp_path / "pair" / "2")}
  values = max(sizes, key=sizes.get).relative_to(tmp_path / "pair")
  silent = 0
  for number in range(10):
    directory = tmp_path / str(number)
    shutil.copytree(tmp_path / "pair", directory)
    flip(directory / values, rng)
    with contextlib.suppress(ValueError):
      silent += (ocp.load(directory / "2")["params"]["w"] != w + 2).any()
    store = checkpoints.Checkpoints(directory)
    step, state, _ = store.restore(like={"params": {"w": w}})
    np.testing.assert_array_equal(state["params"]["w"], w + step)
  assert silent >= 5
  assert "the array params.w is not the one that was saved" in caplog.text


@pytest.mark.parametrize("name", ["", "state", "_CHECKPOINT_METADATA"])
def test_files_swapped_between_steps_are_detected(pair, tmp_path, caplog, name):
  directory = copy(pair, tmp_path)
  shutil.move(directory / "1" / name, tmp_path / "aside")
  shutil.move(directory / "2" / name, directory / "1" / name)
  shutil.move(tmp_path / "aside", directory / "2" / name)
  store = checkpoints.Checkpoints(directory)
  with pytest.raises(errors.UserError, match=r"step 2: .*step 1: "):
    store.restore(like=make_state(0))
  assert store.steps() == [1, 2]


def test_an_altered_config_is_detected(pair, tmp_path):
  directory = copy(pair, tmp_path)
  path = directory / "2" / "_CHECKPOINT_METADATA"
  path.write_text(path.read_text().replace('"lr": 0.1', '"lr": 0.2'))
  assert json.loads(path.read_text())
  with pytest.raises(errors.UserError, match=r"manifest.*there is step 1;"):
    checkpoints.load(tmp_path, step=2)
  assert checkpoints.load(tmp_path)[0] == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_half_deleted_step_is_not_good(pair, tmp_path, caplog, seed):
  directory = copy(pair, tmp_path)
  doomed = files(directory / "2")
  random.Random(seed).shuffle(doomed)
  for path in doomed[: len(doomed) * (seed + 1) // 4]:
    path.unlink()
  assert fate(directory, caplog) == "detected" or seed == 0


def test_a_damaged_step_can_be_saved_again(pair, tmp_path, caplog):
  directory = copy(pair, tmp_path)
  (directory / "2" / "state" / "manifest.ocdbt").unlink()
  store = checkpoints.Checkpoints(directory)
  for explicit in ({"step": 2}, {"fallback": False}):
    with pytest.raises(errors.UserError, match=r"the array .* cannot be read"):
      store.restore(**explicit, like=make_state(0))
  assert store.restore(like=make_state(0))[0] == 1
  store.save(2, make_state(2), config=CONFIG, wait=True)
  (directory / "2" / "state" / "manifest.ocdbt").unlink()
  store.save(2, make_state(2), config=CONFIG, wait=True)
  assert bits(store.restore(2, like=make_state(0))[1]) == bits(make_state(2))
  names = {path.name for path in directory.iterdir()}
  assert names == {"1", "2", "damaged-2", "damaged-2-2"}
  store.close()


def test_the_newest_and_every_fourth_are_kept(tmp_path):
  store = checkpoints.Checkpoints(tmp_path, keep=2, keep_every=4)
  for step in range(11):
    store.save(step, {"extra": {"w": np.ones(3)}}, config={})
  store.close()
  assert store.steps() == [0, 4, 8, 9, 10]
  assert {path.name for path in tmp_path.iterdir()} == {
    *map(str, store.steps())
  }


def test_leftovers_of_killed_writers_are_removed(pair, tmp_path):
  directory = copy(pair, tmp_path)
  (directory / "3.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
  shutil.copytree(directory / "1", directory / "deleting-0")
  assert checkpoints.Checkpoints(directory, cleanup=False).steps() == [1, 2]
  assert len(list(directory.iterdir())) == 4
  assert checkpoints.Checkpoints(directory).steps() == [1, 2]
  assert len(list(directory.iterdir())) == 2


def test_a_reader_renames_nothing(pair, tmp_path):
  directory = copy(pair, tmp_path)
  shutil.rmtree(directory / "2" / "state")
  reader = checkpoints.Checkpoints(directory, cleanup=False)
  assert reader.restore(like=make_state(0))[0] == 1
  assert checkpoints.load(tmp_path)[0] == 1
  assert reader.steps() == [1, 2]


WRITER = """
import sys, numpy as np
from pseudovideo.runs import checkpoints
store = checkpoints.Checkpoints(sys.argv[1], keep=2)
for step in range(1, 10**6):
  state = {"params": {str(i): np.full((64, 1000), step) for i in range(8)}}
  store.save(step, state, config={"step": step})
  if step == 3:
    print("ready", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_good_checkpoints(tmp_path):
  like = {"params": {str(i): np.zeros((64, 1000), int) for i in range(8)}}
  command = [sys.executable, "-c", WRITER]
  writers = [
    subprocess.Popen([*command, tmp_path / str(i)], stdout=subprocess.PIPE)
    for i in range(3)
  ]
  for number, writer in enumerate(writers):
    assert writer.stdout.readline() == b"ready\n"
    time.sleep(0.05 + 0.07 * number)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
  for number in range(3):
    store = checkpoints.Checkpoints(tmp_path / str(number))
    assert len(store.steps()) >= 2
    assert {p.name for p in (tmp_path / str(number)).iterdir()} == {
      str(step) for step in store.steps()
    }
    for wanted in store.steps():
      step, state, config = store.restore(wanted, like=like)
      assert config["step"] == step == wanted
      assert all((leaf == step).all() for leaf in state["params"].values())
    store.close()


def test_parts_load_without_the_model(pair, tmp_path):
  copy(pair, tmp_path)
  step, parts, config = checkpoints.load(tmp_path)
  assert (step, config, list(parts)) == (2, CONFIG, ["ema", "extra"])
  want = make_state(2)
  assert bits(parts["ema"]) == bits(want["ema"])
  del want["extra"]["nothing"]
  assert bits(parts["extra"]) == bits(want["extra"])
  assert checkpoints.load(tmp_path, 1, ["step"])[1] == {"step": 1}
  with pytest.raises(errors.UserError, match="Choose one of: ema, extra, opt"):
    checkpoints.load(tmp_path, parts=["emma"])


def test_orbax_itself_reads_our_checkpoints(pair):
  tree = ocp.load(pair / "2")
  np.testing.assert_array_equal(
    tree["params"]["dense"]["kernel"],
    make_state(2)["params"]["dense"]["kernel"],
  )


def test_the_config_and_the_versions_travel(pair):
  record = json.loads((pair / "2" / "_CHECKPOINT_METADATA").read_text())
  manifest = record["custom_metadata"]["manifest"]
  assert manifest["config"] == CONFIG
  assert manifest["versions"]["jax"] == jax.__version__
  assert manifest["arrays"]["ema.dense.bias"]["dtype"] == "bfloat16"


def test_a_model_that_differs_is_told_each_difference(pair, tmp_path):
  store = checkpoints.Checkpoints(copy(pair, tmp_path))
  like = make_state(0)
  like["params"]["dense"]["kernel"] = jnp.zeros((8, 7))
  like["ema"]["dense"]["bias"] = jnp.zeros(6)
  like["params"]["new"] = jnp.zeros(2)
  del like["extra"]["mask"]
  with pytest.raises(errors.UserError) as caught:
    store.restore(like=like)
  assert str(caught.value).startswith(
    "The checkpoint of step 2 does not fit the model: "
    "it holds ema.dense.bias (6) bfloat16, the model expects (6) float32; "
    "it holds extra.mask (5) bool, the model expects no such array; "
    "it holds params.dense.kernel (8, 6) float32, "
    "the model expects (8, 7) float32; "
    "it holds no params.new, the model expects (2) float32. "
  )
  assert store.steps() == [1, 2]  # a misfit is not damage


def test_absent_checkpoints_are_named(pair, tmp_path):
  with pytest.raises(errors.UserError, match="There is no checkpoint in"):
    checkpoints.load(tmp_path)
  with pytest.raises(
    errors.UserError, match=r"step 7 .*there are step 1, step 2"
  ):
    checkpoints.load(pair.parent, step=7)


def test_wrong_arguments_are_refused(tmp_path):
  with pytest.raises(errors.UserError, match="keep is 0"):
    checkpoints.Checkpoints(tmp_path, keep=0)
  (tmp_path / "file").touch()
  with pytest.raises(errors.UserError, match="cannot be created"):
    checkpoints.Checkpoints(tmp_path / "file" / "x")
  store = checkpoints.Checkpoints(tmp_path)
  with pytest.raises(ValueError, match=r"params\.w is 3"):
    store.save(1, {"params": {"w": 3}}, config={})
  with pytest.raises(TypeError):
    store.save(1, {"params": {}}, config={"path": tmp_path})
  one = np.ones(1)
  with pytest.raises(ValueError, match=r"both named 'params\.a\.b'"):
    store.save(1, {"params": {"a.b": one, "a": {"b": one}}}, config={})


@pytest.mark.parametrize(
  "failure, text",
  [
    (OSError(errno.ENOSPC, "full"), "the disk is full"),
    (ValueError("RESOURCE_EXHAUSTED: No space left on device"), "disk is full"),
    (ValueError("NOT_FOUND: x [tensorstore_spec='y']"), "NOT_FOUND: x. The"),
  ],
)
def test_a_failed_save_surfaces_and_leaves_the_rest(
  pair, tmp_path, monkeypatch, failure, text
):
  directory = copy(pair, tmp_path)
  store = checkpoints.Checkpoints(directory)

  def fail(self, path, *args, **kwargs):
    del self, args, kwargs
    path.with_name(f"{path.name}.orbax-checkpoint-tmp").mkdir()
    raise RuntimeError("somewhere above") from failure

  with monkeypatch.context() as patch:
    patch.setattr(orbax.checkpoint.Checkpointer, "save", fail)
    store.save(3, make_state(3), config=CONFIG)
    with pytest.raises(errors.UserError, match=re.escape(text)) as caught:
      store.save(4, make_state(4), config=CONFIG)
  assert "it resumes from step 2" in str(caught.value)
  assert caught.value.__cause__.__cause__ is failure
  assert {path.name for path in directory.iterdir()} == {"1", "2"}
  store.save(4, make_state(4), config=CONFIG)  # reported once, then usable
  assert store.restore(like=make_state(0))[0] == 4
  store.close()


def test_a_disk_without_room_is_noticed_before_writing(
  pair, tmp_path, monkeypatch
):
  store = checkpoints.Checkpoints(copy(pair, tmp_path))
  usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
  monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
  monkeypatch.setattr(orbax.checkpoint.Checkpointer, "save", None)
  large = {"params": {"w": np.zeros(10_000)}}
  with pytest.raises(
    errors.UserError, match=r"Step 3 .* the disk is full.* free"
  ):
    store.save(3, large, config={}, wait=True)


def test_orbax_does_not_chatter(tmp_path, caplog):
  with caplog.at_level(logging.DEBUG):
    store = checkpoints.Checkpoints(tmp_path)
    store.save(1, {"extra": {"w": np.ones(2)}}, config={}, wait=True)
    store.close()
  assert not [r for r in caplog.records if "orbax" in r.pathname]

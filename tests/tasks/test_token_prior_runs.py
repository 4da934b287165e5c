"""Models of tokens in real runs: what they learn from, and what they keep."""

import os
import shutil
import signal

import jax
import numpy as np
import pytest

from configs import token_prior
from pseudovideo import (
  checkpoints,
  configuration,
  evaluate,
  first_stages,
  folders,
  main,
  results,
  runs,
  tokenize,
  train,
  writer,
)
from pseudovideo.tasks import base

PARTS = ("step", "params", "ema", "opt_state", "extra")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
  """Tokens are cached in a folder of this module."""
  own, other = tmp_path_factory.mktemp("cache"), folders.cache_dir

  def cache_dir(*parts):
    return own.joinpath(*parts) if parts[:1] == ("tokens",) else other(*parts)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(folders, "cache_dir", cache_dir)
    yield own


def config(order, tokenizer, **fields):
  raw = configuration.complete(
    token_prior.get_config(f"order={order},preset=tiny")
  )
  raw["tokenizer"]["workdir"] = str(tokenizer)
  raw["evaluate"].update(num_samples=8, batch_size=4, metrics="FD")
  raw["train"].update(grid=4, log_every=1, eval_every=0, **fields)
  # As in the tests of other runs, so that they can be compared.
  raw["optimizer"]["eps"] = 0.1
  return raw


def arrays(workdir):
  """Every array of the newest checkpoint, by name."""
  _, parts, _ = checkpoints.load(workdir, parts=PARTS)
  leaves = jax.tree_util.tree_leaves_with_path(parts)
  return {jax.tree_util.keystr(path): np.asarray(x) for path, x in leaves}


def assert_same(one, other):
  one, other = arrays(one), arrays(other)
  assert one.keys() == other.keys() and len(one) > 20
  for name, array in one.items():
    np.testing.assert_array_equal(array, other[name], err_msg=name)


def logged(workdir, split="train"):
  rows = writer.read_metrics(workdir)
  return {r["step"]: r for r in rows if r["split"] == split}


@pytest.fixture(scope="module")
def copied(tiny_tokenizer_run, tmp_path_factory):
  """A tokenizer's folder that a test removes."""
  workdir = tmp_path_factory.mktemp("copied") / "tokenizer"
  return shutil.copytree(tiny_tokenizer_run, workdir)


@pytest.fixture(scope="module")
def next_run(copied, tmp_path_factory):
  """Folder of a next-token model, with tokens of the cache."""
  workdir = tmp_path_factory.mktemp("next")
  assert train.train(config("next", copied), workdir).step == 6
  return workdir


@pytest.fixture(scope="module")
def masked_run(tiny_tokenizer_run, tmp_path_factory):
  """Folder of a masked model, which learns from the cache too."""
  workdir = tmp_path_factory.mktemp("masked")
  raw = config("masked", tiny_tokenizer_run)
  raw["train"]["eval_every"] = 6
  assert train.train(raw, workdir).step == 6
  return workdir


@pytest.fixture(scope="module")
def written(tiny_tokenizer_run, tmp_path_factory):
  """Folder of tokens, as the command writes it."""
  folder = tmp_path_factory.mktemp("written") / "tokens"
  argv = [f"--workdir={tiny_tokenizer_run}", f"--out={folder}"]
  assert tokenize.main(argv) == 0
  return folder


def test_examples_are_the_ids_of_the_images(
  tiny_tokenizer_run, masked_run, cache
):
  """And a batch of the trainer holds those of its images."""
  tokenizer, run = runs.restore(tiny_tokenizer_run), runs.restore(masked_run)
  found = base.examples(run.task, run.extra, run.image_set, batch_size=32)
  assert found.name == "ids" and found.train.dtype == np.uint8
  assert found.train.shape == (len(run.image_set.train_images), 4, 4, 4)
  encode = jax.jit(tokenizer.task.encode)
  for split in ("train", "test"):
    images = getattr(run.image_set, f"{split}_images")
    chosen = np.linspace(0, len(images) - 1, 32).astype(int)
    expected = encode(
      tokenizer.params, tokenizer.extra, images[chosen], key=jax.random.key(0)
    )
    np.testing.assert_array_equal(getattr(found, split)[chosen], expected)
    assert len(np.unique(expected)) > 1
  assert len(list((cache / "tokens").iterdir())) == 1, "encoded once"


def test_the_loop_has_batches_of_ids(masked_run, tmp_path, monkeypatch):
  seen = []
  put = train.sharding.put_batch

  def look(batch, mesh):
    seen.append(batch)
    return put(batch, mesh)

  monkeypatch.setattr(train.sharding, "put_batch", look)
  run = runs.restore(masked_run)
  raw = run.raw | {"train": run.raw["train"] | {"eval_every": 0}}
  loop = train.Loop(raw, tmp_path)
  monkeypatch.setattr(loop, "_step", _no_step)
  with pytest.raises(_Enough):
    loop.run()
  loop.close()
  assert set(seen[0]) == {"ids", "label", "index"}
  ids, index = seen[0]["ids"], seen[0]["index"]
  assert ids.shape == (16, 4, 4, 4)
  np.testing.assert_array_equal(
    ids,
    jax.jit(run.task.coder.encode)(
      *run.task.trained(run.extra)[1:],
      run.image_set.train_images[index],
      key=jax.random.key(0),
    ),
  )


class _Enough(Exception):
  pass


def _no_step(*_):
  raise _Enough


@pytest.mark.slow
def test_a_folder_of_tokens_trains_the_same_bits(
  tiny_tokenizer_run, masked_run, written, tmp_path, cache
):
  raw = config("masked", tiny_tokenizer_run)
  raw["tokenizer"]["tokens"] = str(written)
  before = {p: p.stat().st_mtime_ns for p in (cache / "tokens").rglob("*")}
  assert train.train(raw, tmp_path).step == 6
  after = {p: p.stat().st_mtime_ns for p in (cache / "tokens").rglob("*")}
  assert after == before
  assert_same(tmp_path, masked_run)


def test_losses_are_logged_and_nothing_but_the_prior_is_trained(
  tiny_tokenizer_run, masked_run
):
  # 16 codes, and a network that knows nothing yet.
  first = logged(masked_run)[1]
  assert abs(first["nll"] - np.log(16)) < 1
  assert first["loss"] == pytest.approx(first["nll"])
  held_out = logged(masked_run, "held_out")[6]
  assert abs(held_out["nll"] - np.log(16)) < 1
  run, tokenizer = runs.restore(masked_run), runs.restore(tiny_tokenizer_run)
  kept = run.extra["tokenizer"]
  assert set(run.params) == {"network"} and set(kept["params"]) == {"network"}
  for ours, theirs in (
    (kept["params"]["network"], tokenizer.params["network"]),
    (kept["extra"]["quantizer"], tokenizer.extra["quantizer"]),
  ):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.slow
def test_a_stopped_run_resumes_to_the_same_bits(
  next_run, copied, tmp_path, monkeypatch
):
  after = train.Loop._after_step

  def send_signal(loop, step, *, stopping):
    if step == 3:
      os.kill(os.getpid(), signal.SIGTERM)
    after(loop, step, stopping=stopping)

  monkeypatch.setattr(train.Loop, "_after_step", send_signal)
  raw = config("next", copied)
  assert train.train(raw, tmp_path).stopped_by == signal.SIGTERM
  monkeypatch.undo()
  assert train.train(raw, tmp_path) == train.Outcome(6, None)
  assert_same(tmp_path, next_run)
  ours, theirs = logged(tmp_path), logged(next_run)
  assert {n: r["loss"] for n, r in ours.items()} == {
    n: r["loss"] for n, r in theirs.items()
  }


@pytest.fixture(scope="module")
def evaluated(next_run):
  """The record of results.json, and what the last lines say."""
  record = evaluate.evaluate(runs.restore(next_run))
  assert record == results.read(next_run / evaluate.RESULTS_FILE)
  return record


@pytest.mark.slow
def test_the_tokenizer_s_folder_is_not_needed_any_more(
  next_run, copied, evaluated
):
  """But training goes on only with the tokenizer that it began with."""
  first = evaluate.draw(runs.restore(next_run)).images
  away = copied.rename(copied.with_name("away"))
  try:
    again = runs.restore(next_run)
    np.testing.assert_array_equal(evaluate.draw(again).images, first)
    record = evaluate.evaluate(again)
    assert record["metrics"] == evaluated["metrics"]
    assert record["token_likelihood"] == evaluated["token_likelihood"]
    assert main.main(["--mode=train", f"--workdir={next_run}"]) == 2
  finally:
    away.rename(copied)


@pytest.mark.slow
def test_results_name_the_tokenizer_and_the_likelihood(
  next_run, tiny_tokenizer_run, evaluated
):
  raw = first_stages.look_up(config("next", tiny_tokenizer_run))
  assert evaluated["config"]["tokenizer"]["hash"] == raw["tokenizer"]["hash"]
  found = evaluated["config"]["tokenizer"]["config"]
  assert found == runs.saved_config(tiny_tokenizer_run)
  assert evaluated["network_evaluations"] == 64
  assert evaluated["samples_per_second"] > 0
  likelihood = evaluated["token_likelihood"]
  assert likelihood["num_images"] == 360 and likelihood["tokens"] == 64
  # Six updates away from codes that are equally likely.
  assert abs(likelihood["nats_per_token"] - np.log(16)) < 0.5
  assert likelihood["nats_per_token"] != np.log(16)


@pytest.mark.slow
def test_samples_may_be_drawn_otherwise(next_run):
  given = config("next", "anywhere")
  given["sampler"].update(top_k=1)
  run = runs.restore(next_run, config=given)
  assert run.task.sampler.top_k == 1
  images = evaluate.draw(run, 4).images
  assert all((image == images[0]).all() for image in images)
  given["model"]["layers"] = 3
  with pytest.raises(ValueError, match=r"model\.layers is 3, was 2"):
    runs.restore(next_run, config=given)

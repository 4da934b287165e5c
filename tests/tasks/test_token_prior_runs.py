"""Models of tokens in real runs: what they learn from, and what they keep."""

import dataclasses
import os
import signal

import jax
import numpy as np
import pytest

from configs import token_prior
from pseudovideo import errors, main, runs
from pseudovideo.commands import tokenize
from pseudovideo.config import parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.files import atomic
from pseudovideo.first_stages import given, look_up, tokens
from pseudovideo.runs import checkpoints, metric_log, results
from pseudovideo.training import loop as train
from tests.tasks import small_tokenizers as small

PARTS = ("step", "params", "ema", "opt_state", "extra")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
  """Tokens are cached in a folder of this module."""
  own, other = tmp_path_factory.mktemp("cache"), atomic.cache_dir

  def cache_dir(*parts):
    return own.joinpath(*parts) if parts[:1] == ("tokens",) else other(*parts)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(atomic, "cache_dir", cache_dir)
    yield own


def config(order, tokenizer, **fields):
  raw = parsing.complete(token_prior.get_config(f"order={order},preset=tiny"))
  raw["tokenizer"]["workdir"] = str(tokenizer)
  raw["model"].update(layers=1)
  raw["evaluate"].update(num_samples=8, batch_size=8, metrics="FD")
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
  rows = metric_log.read_metrics(workdir)
  return {r["step"]: r for r in rows if r["split"] == split}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  """A tokenizer's run, and its folder, which tests may move away."""
  return runs.restore(small.save_run(tmp_path_factory.mktemp("tokenizer")))


def test_examples_are_the_ids_of_the_images(tokenizer, tmp_path, cache):
  """Ids are encoded once, or taken from a folder of tokens."""
  raw = look_up.look_up(parsing.parse(config("masked", tokenizer.workdir))).raw
  task = parsing.parse(raw).make_task((8, 8, 1))
  _, extra = given.init(task, jax.random.key(0), tokenizer.image_set)

  def examples(task):
    return given.examples(task, extra, tokenizer.image_set, batch_size=512)

  found = examples(task)
  assert found.name == "ids" and found.train.dtype == np.uint8
  num = len(tokenizer.image_set.train_images)
  assert found.train.shape == (num, 2, 4, 4)
  encode = jax.jit(tokenizer.task.encode)
  for split in ("train", "test"):
    images = getattr(tokenizer.image_set, f"{split}_images")
    chosen = np.linspace(0, len(images) - 1, 32).astype(int)
    expected = encode(
      tokenizer.params, tokenizer.extra, images[chosen], key=jax.random.key(0)
    )
    np.testing.assert_array_equal(getattr(found, split)[chosen], expected)
    assert len(np.unique(expected)) > 1
  (encoded,) = (cache / "tokens").iterdir()
  written = {p: p.stat().st_mtime_ns for p in encoded.rglob("*")}
  folder = tmp_path / "tokens"
  assert (
    tokenize.main([f"--workdir={tokenizer.workdir}", f"--out={folder}"]) == 0
  )
  source = dataclasses.replace(task.tokenizer, tokens=str(folder))
  of_folder = examples(dataclasses.replace(task, tokenizer=source))
  np.testing.assert_array_equal(of_folder.train, found.train)
  np.testing.assert_array_equal(of_folder.test, found.test)
  assert {p: p.stat().st_mtime_ns for p in encoded.rglob("*")} == written


def test_the_loop_has_batches_of_ids(tokenizer, tmp_path, monkeypatch):
  seen = []
  put = train.sharding.put_batch

  def look(batch, mesh):
    seen.append(batch)
    return put(batch, mesh)

  monkeypatch.setattr(train.sharding, "put_batch", look)
  loop = train.Loop(config("masked", tokenizer.workdir), tmp_path)
  stopped = dataclasses.replace(loop._programs, update=_no_step)
  monkeypatch.setattr(loop, "_programs", stopped)
  with pytest.raises(_Enough):
    loop.run()
  loop.close()
  assert set(seen[0]) == {"ids", "label", "index"}
  ids, index = seen[0]["ids"], seen[0]["index"]
  assert ids.shape == (16, 2, 4, 4)
  np.testing.assert_array_equal(
    ids,
    jax.jit(tokenizer.task.encode)(
      tokenizer.params,
      tokenizer.extra,
      tokenizer.image_set.train_images[index],
      key=jax.random.key(0),
    ),
  )


class _Enough(Exception):
  pass


def _no_step(*_):
  raise _Enough


@pytest.mark.slow("trains, is killed, and trains on")
def test_a_run_resumes_and_needs_its_tokenizer_only_to_be_trained(
  tokenizer, tmp_path, monkeypatch
):
  raw, whole, parts = (
    config("next", tokenizer.workdir),
    tmp_path / "whole",
    tmp_path / "parts",
  )
  assert train.train(raw, whole).step == 6
  after = train.Loop._after_step

  def send_signal(loop, step, *, stopping):
    if step == 3:
      os.kill(os.getpid(), signal.SIGTERM)
    after(loop, step, stopping=stopping)

  with monkeypatch.context() as patch:
    patch.setattr(train.Loop, "_after_step", send_signal)
    assert train.train(raw, parts).stopped_by == signal.SIGTERM
  assert train.train(raw, parts) == train.Outcome(6, None)
  assert_same(parts, whole)
  ours, theirs = logged(parts), logged(whole)
  assert {n: r["loss"] for n, r in ours.items()} == {
    n: r["loss"] for n, r in theirs.items()
  }
  # 16 codes, and a network that knows nothing yet.
  assert abs(ours[1]["nll"] - np.log(16)) < 1
  assert ours[1]["loss"] == pytest.approx(ours[1]["nll"])
  # Nothing but the prior was trained.
  run = runs.restore(whole)
  kept = run.extra["frozen"]["tokenizer"]
  assert set(run.params) == {"network"} and set(kept["params"]) == {"network"}
  for found, expected in (
    (kept["params"]["network"], tokenizer.params["network"]),
    (kept["extra"], tokenizer.extra),
  ):
    jax.tree.map(np.testing.assert_array_equal, found, expected)
  away = tokenizer.workdir.rename(tmp_path / "away")
  try:
    record = evaluate.evaluate(runs.restore(whole))
    assert main.main(["--mode=train", f"--workdir={whole}"]) == 2
  finally:
    away.rename(tokenizer.workdir)
  assert record == results.read(whole / evaluate.RESULTS_FILE)
  found = record["config"]["tokenizer"]
  assert (
    found["hash"]
    == look_up.look_up(parsing.parse(raw)).raw["tokenizer"]["hash"]
  )
  assert found["config"] == runs.saved_config(tokenizer.workdir).raw
  assert record["network_evaluations"] == 32
  likelihood = record["token_likelihood"]
  assert likelihood["num_images"] == 360 and likelihood["tokens"] == 32
  # Six updates away from codes that are equally likely.
  assert 0 < abs(likelihood["nats_per_token"] - np.log(16)) < 0.5
  # Samples may be drawn otherwise.
  raw["sampler"].update(top_k=1)
  run = runs.restore(whole, config=raw)
  assert run.task.sampler.top_k == 1
  images = evaluate.draw(run, 4).images
  assert all((image == images[0]).all() for image in images)
  raw["model"]["layers"] = 3
  with pytest.raises(ValueError, match=r"model\.layers is 3, was 1"):
    runs.restore(whole, config=raw)


@pytest.mark.slow("trains and evaluates")
def test_a_masked_prior_is_held_out_and_evaluated_without_a_likelihood(
  tokenizer, tmp_path
):
  raw = config("masked", tokenizer.workdir)
  raw["train"]["eval_every"] = raw["train"]["steps"]
  assert train.train(raw, tmp_path).step == 6
  # 16 codes, and a network that knows little yet.
  (held_out,) = logged(tmp_path, "held_out").values()
  assert held_out["step"] == 6 and abs(held_out["nll"] - np.log(16)) < 1
  record = evaluate.evaluate(runs.restore(tmp_path))
  assert record == results.read(tmp_path / evaluate.RESULTS_FILE)
  assert "generated" in record["metrics"]
  assert "token_likelihood" not in record


@pytest.mark.parametrize(
  "kind", ["masked", pytest.param("next", marks=pytest.mark.slow("trains"))]
)
def test_exploded_weights_make_no_images(tokenizer, tmp_path, kind):
  """Though the tokenizer would make finite pixels of any tokens."""
  train.train(config(kind, tokenizer.workdir), tmp_path)
  run = runs.restore(tmp_path)
  for factor in (1e30, np.nan):
    params = jax.tree.map(lambda x, f=factor: x * f, run.params)
    with pytest.raises(errors.RunError, match="not finite"):
      evaluate.draw(dataclasses.replace(run, params=params), 4)


@pytest.mark.parametrize("factor", [1e30, np.nan])
def test_an_exploded_encoder_has_no_codes(tokenizer, factor):
  def explode(path, x):
    return x * factor if "enc" in jax.tree_util.keystr(path) else x

  params = jax.tree_util.tree_map_with_path(explode, tokenizer.params)
  broken = dataclasses.replace(tokenizer, params=params)
  with pytest.raises(errors.RunError, match="not finite"):
    evaluate.draw(broken, 4)
  with pytest.raises(errors.RunError, match="no codes for image 0"):
    tokens.encode(broken, tokenizer.image_set.test_images[:4], batch_size=4)

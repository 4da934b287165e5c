"""Steps that are not finite: counted, left out, or the end of the run."""

import functools
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import hvae
from pseudovideo import errors
from pseudovideo.config import parsing
from pseudovideo.runs import checkpoints, metric_log
from pseudovideo.tasks import base
from pseudovideo.training import finite, steps
from pseudovideo.training import loop as train
from pseudovideo.training import state as states

NAN, INF = float("nan"), float("inf")


def metrics(loss=1.0, grad_norm=2.0, **more):
  pairs = {"loss": loss, "grad_norm": grad_norm, **more}
  return {name: np.array([value, 1.0]) for name, value in pairs.items()}


@pytest.mark.parametrize(
  "bad, message",
  [
    (dict(loss=NAN), r"The loss is nan at step 7 \(batch 6\)"),
    (dict(grad_norm=INF), r"The grad_norm is inf at step 7 \(batch 6\)"),
    (
      dict(loss=-INF, grad_norm=NAN),
      "The loss is -inf and the grad_norm is nan at step 7",
    ),
  ],
)
def test_the_first_bad_step_is_named(bad, message):
  monitor = finite.NonFiniteMonitor(0)
  assert not monitor.is_left_out(6, metrics())
  with pytest.raises(errors.RunError, match=message):
    monitor.is_left_out(7, metrics(**bad))


def test_only_steps_in_a_row_end_the_run():
  good, bad = metrics(skipped=0), metrics(0, 0, skipped=1)
  monitor = finite.NonFiniteMonitor(2)
  look = enumerate([bad, bad, good, bad, bad], 1)
  left_out = [monitor.is_left_out(step, found) for step, found in look]
  assert left_out == [True, True, False, True, True]
  # A resumed run continues to count.
  again = finite.NonFiniteMonitor(2, monitor.in_a_row, monitor.in_all)
  with pytest.raises(errors.RunError, match=r"step 6 .* 3 steps in a row"):
    again.is_left_out(6, bad)
  assert again.in_all == 5


class Line:
  """Fits w to the mean of the batch; a batch with a nan or inf breaks it."""

  def loss(self, params, extra, batch, *, key, step, train):
    del key, step, train
    error = (params["w"][None] - batch["x"]) ** 2
    ones = jnp.ones_like(error)
    return {"error": base.Term(error, ones, 1.0)}, {"seen": extra["seen"] + 1}


@pytest.fixture(scope="module")
def line():
  tx = optax.adam(0.1)
  params, extra = {"w": jnp.float32(0)}, {"seen": jnp.int32(0)}
  update = jax.jit(steps.make_step(Line(), tx, ema_decay=0.5, skip_bad=True))
  return update, states.create(params, extra, tx)


@pytest.mark.parametrize("bad", [NAN, INF, 1e30])
def test_a_bad_step_changes_nothing_but_its_number(line, bad, key):
  """The gradient of 1e30 is finite, its square is not."""
  update, start = line
  good = {"x": jnp.array([1.0, 2.0, 3.0])}
  after, found = update(start, good, key)
  assert found["skipped"].tolist() == [0, 1]
  again, found = update(after, {"x": jnp.array([1.0, bad, 3.0])}, key)
  assert found["skipped"].tolist() == [1, 1]
  assert found["loss"].tolist() == found["error"].tolist() == [0, 0]
  assert again.step == after.step + 1
  for part in ("params", "ema", "opt_state", "extra"):
    jax.tree.map(
      np.testing.assert_array_equal, getattr(again, part), getattr(after, part)
    )


def test_good_steps_are_those_of_a_run_without_the_option(line, key):
  update, start = line
  plain = jax.jit(steps.make_step(Line(), optax.adam(0.1), ema_decay=0.5))
  batch = {"x": jnp.array([1.0, 2.0, 3.0])}
  one, found = update(start, batch, key)
  other, expected = plain(start, batch, key)
  # Two programs of about ten float32 operations in a row.
  close = functools.partial(np.testing.assert_allclose, rtol=2e-6)
  jax.tree.map(close, one, other)
  del found["skipped"]
  jax.tree.map(close, found, expected)


def config(**fields):
  raw = parsing.complete(hvae.get_config("preset=tiny"))
  raw["train"] |= dict(
    steps=6, save_every=2, eval_every=0, log_every=3, skip_bad_steps=2
  )
  raw["train"] |= fields
  raw["task"]["levels"] = 2
  raw["model"] |= dict(multipliers=(1,), attention=())
  return raw


@pytest.fixture
def poison(monkeypatch):
  """A function that makes the loss of some steps nan."""
  loss = steps.reduce_terms

  def of(bad):
    make = steps.make_step

    def poisoned(*args, **kwargs):
      inner = make(*args, **kwargs)

      def run(now, batch, key):
        is_bad = jnp.any(now.step == jnp.array(bad))
        monkeypatch.setattr(
          steps,
          "reduce_terms",
          lambda terms: (
            lambda total, sums: (jnp.where(is_bad, jnp.nan, total), sums)
          )(*loss(terms)),
        )
        return inner(now, batch, key)

      return run

    monkeypatch.setattr(train.programs.steps, "make_step", poisoned)

  return of


def test_a_run_counts_what_it_leaves_out(tmp_path, poison):
  poison([1, 3, 4])
  assert train.train(config(), tmp_path).step == 6
  rows = [r for r in metric_log.read_metrics(tmp_path) if r["split"] == "train"]
  assert [row["skipped"] for row in rows] == [1, 2]
  assert all(np.isfinite(row["loss"]) for row in rows)
  _, state, _ = checkpoints.load(tmp_path, parts=("params",))
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def test_too_many_in_a_row_end_a_run(tmp_path, poison):
  poison([1, 3, 4])
  with pytest.raises(errors.RunError, match="2 steps in a row") as caught:
    train.train(config(skip_bad_steps=1), tmp_path)
  assert "step 5 (batch 4)" in str(caught.value)
  assert "last good checkpoint is of step 4" in str(caught.value)
  # The state was never touched by a bad step, so that it was right to save.
  _, state, _ = checkpoints.load(tmp_path, parts=("params",))
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def stopping(monkeypatch, every):
  """Has runs stop after so many steps, as a signal would make them."""
  after, done = train.Loop._after_step, []

  def stop(loop, step, *, stopping):
    done.append(step)
    after(loop, step, stopping=stopping)
    if len(done) % every == 0:
      loop._stop.signal = signal.SIGTERM

  monkeypatch.setattr(train.Loop, "_after_step", stop)
  return done


@pytest.mark.slow("restarts")
def test_restarts_do_not_begin_the_count_anew(tmp_path, poison, monkeypatch):
  poison(range(1, 100))
  done = stopping(monkeypatch, 2)
  raw = config(steps=30, skip_bad_steps=4, log_every=7, save_every=9)
  with pytest.raises(errors.RunError, match="5 steps in a row") as caught:
    while train.train(raw, tmp_path).stopped_by:
      pass
  assert len(set(done)) > 4 and "step 6 (batch 5)" in str(caught.value)


@pytest.mark.parametrize(
  "every", [4, pytest.param(1, marks=pytest.mark.slow("restarts"))]
)
def test_what_is_left_out_is_counted_over_restarts(
  tmp_path, poison, monkeypatch, every
):
  poison([1, 3, 4])
  stopping(monkeypatch, every)
  while train.train(config(log_every=4), tmp_path).stopped_by:
    pass
  assert [r["skipped"] for r in metric_log.read_metrics(tmp_path)] == [2, 1]


@pytest.mark.parametrize(
  "every", [pytest.param(2, marks=pytest.mark.slow("restarts")), 100]
)
def test_a_run_without_a_good_step_is_no_success(
  tmp_path, poison, monkeypatch, every
):
  poison(range(6))
  stopping(monkeypatch, every)
  raw = config(skip_bad_steps=50)
  for _ in range(2):  # Nor is it one when the command is given again.
    with pytest.raises(errors.RunError, match="nothing was learned"):
      while train.train(raw, tmp_path).stopped_by:
        pass


def test_an_update_that_overflows_is_left_out(line, key):
  """Its loss and its gradient are finite, its parameters are not."""
  _, start = line
  tx = optax.sgd(3e38)
  start = states.create(start.params, start.extra, tx)
  update = jax.jit(steps.make_step(Line(), tx, ema_decay=0.5, skip_bad=True))
  after, found = update(start, {"x": jnp.array([1.0, 2.0, 3.0])}, key)
  assert found["skipped"].tolist() == [1, 1]
  np.testing.assert_array_equal(after.params["w"], start.params["w"])

"""Signals and kills at any place: the log and the weights end as if none."""

import os
import signal

import jax
import pytest

from pseudovideo import errors
from pseudovideo.runs import checkpoints
from pseudovideo.training import held_out, loop
from tests.training import small_runs as small

SLOW = pytest.mark.slow("trains on after every signal and kill")

STEPS = 13
EVALUATED = [4, 8, 12, STEPS]


class Killed(Exception):
  """Stands for SIGKILL: nothing of the loop runs afterwards."""


def train(workdir, **fields):
  raw = small.config(
    steps=STEPS, log_every=5, save_every=3, eval_every=4, grid=2, **fields
  )
  return loop.train(raw, workdir)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """An undisturbed run."""
  workdir = tmp_path_factory.mktemp("whole")
  assert train(workdir) == loop.Outcome(STEPS, None)
  return workdir


def same(workdir, whole):
  assert small.rows(workdir) == small.rows(whole)
  assert small.final_hash(workdir) == small.final_hash(whole)
  names = [
    sorted(path.name for path in (folder / "images").iterdir())
    for folder in (workdir, whole)
  ]
  assert names[0] == names[1]


def interrupt(monkeypatch, steps, do):
  """Calls `do` once at each of these steps, before anything is logged."""
  after, left = loop.Loop._after_step, list(steps)

  def at(self, step, *, stopping):
    if left and step >= left[0]:
      del left[0]
      do()
    after(self, step, stopping=stopping)

  monkeypatch.setattr(loop.Loop, "_after_step", at)


def test_the_log_is_of_every_interval(whole):
  steps = {
    split: [row["step"] for row in small.rows(whole, split)]
    for split in ("train", "held_out")
  }
  assert steps == {"train": [5, 10, 13], "held_out": EVALUATED}


@pytest.mark.parametrize(
  "steps",
  [
    pytest.param([4, 13], marks=SLOW),
    pytest.param([1, 4, 8, 9], marks=SLOW),
    pytest.param([5, 6, 12], marks=SLOW),
    pytest.param([13], marks=SLOW),
  ],
)
def test_signals_between_intervals(whole, tmp_path, monkeypatch, steps):
  interrupt(monkeypatch, steps, lambda: os.kill(os.getpid(), signal.SIGTERM))
  outcomes = [train(tmp_path)]
  while outcomes[-1].stopped_by:
    outcomes.append(train(tmp_path))
  assert outcomes[-1] == loop.Outcome(STEPS, None)
  # A signal is seen at the next step, where another may come.
  assert len(outcomes) > len(steps) / 2
  same(tmp_path, whole)


def kill():
  raise Killed


@pytest.mark.parametrize(
  "steps",
  [
    [9],
    pytest.param([4, 8, 9], marks=SLOW),
    pytest.param([7, 8, 13], marks=SLOW),
    pytest.param([7, 13], marks=SLOW),
  ],
)
def test_kills_between_intervals(whole, tmp_path, monkeypatch, steps):
  interrupt(monkeypatch, steps, kill)
  for _ in steps:
    with pytest.raises(Killed):
      train(tmp_path, wait_for_saves=True)
  assert train(tmp_path) == loop.Outcome(STEPS, None)
  same(tmp_path, whole)


@SLOW
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("at", [4, 12, STEPS])
def test_a_signal_in_the_middle_of_held_out_losses(
  whole, tmp_path, monkeypatch, at, number
):
  """The step is saved already; the rest of the batches waits for the next."""
  looked_at = []

  def watched(images, labels, size, name, batches=held_out.pipeline.held_out):
    for place, batch in enumerate(batches(images, labels, size, name)):
      looked_at.append(place)
      if place == 2 and len(looked_at) > 23 * EVALUATED.index(at):
        os.kill(os.getpid(), number)
      yield batch

  with monkeypatch.context() as patch:
    patch.setattr(held_out.pipeline, "held_out", watched)
    assert train(tmp_path, wait_for_saves=True) == loop.Outcome(at, number)
  assert looked_at[-1] in (2, 3), "of 23 batches"
  assert checkpoints.load(tmp_path)[0] == at
  assert train(tmp_path) == loop.Outcome(STEPS, None)
  same(tmp_path, whole)


@SLOW
def test_a_kill_in_every_evaluation(whole, tmp_path, monkeypatch):
  """Each later process finishes the evaluation that the one before began."""
  losses, calls = held_out.HeldOut.losses, []

  def first_time(self, *args):
    calls.append(self)
    if len(calls) % 2:
      raise Killed
    return losses(self, *args)

  monkeypatch.setattr(held_out.HeldOut, "losses", first_time)
  for _ in range(4):
    with pytest.raises(Killed):
      train(tmp_path, wait_for_saves=True)
  for _ in range(2):
    assert train(tmp_path) == loop.Outcome(STEPS, None)
  assert len(calls) == 8
  same(tmp_path, whole)


def test_weights_that_are_not_finite_end_the_run(tmp_path, monkeypatch):
  """At the next save, though no loss and no gradient was infinite."""
  after = loop.Loop._after_step

  def explode(self, step, *, stopping):
    if step == 4:
      self._state.params = jax.tree.map(
        lambda x: x * float("inf"), self._state.params
      )
    after(self, step, stopping=stopping)

  monkeypatch.setattr(loop.Loop, "_after_step", explode)
  with pytest.raises(errors.RunError, match="checkpoint is of step 2"):
    loop.train(small.config(), tmp_path)
  assert checkpoints.steps_in(tmp_path / "checkpoints") == [2]

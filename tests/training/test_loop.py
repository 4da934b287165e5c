"""Whole runs: resuming, killing, stopping, and losses that are not finite."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from configs import hvae
from pseudovideo import errors
from pseudovideo.config import parsing
from pseudovideo.runs import checkpoints, metric_log
from pseudovideo.training import loop as train
from tests.training.small_runs import final_hash

ROOT = pathlib.Path(__file__).parents[2]


def config(**train_fields):
  raw = parsing.complete(hvae.get_config("preset=tiny"))
  raw["train"] |= dict(steps=6, save_every=2, eval_every=0, log_every=1)
  raw["train"] |= train_fields
  raw["task"]["levels"] = 2
  raw["model"] |= dict(multipliers=(1,), attention=())
  # Adam makes steps of equal size out of gradients of any size, and so of
  # rounding errors; with this it does not, and runs can be compared.
  raw["optimizer"]["eps"] = 0.1
  return raw


def losses(workdir) -> dict[int, float]:
  rows = metric_log.read_metrics(workdir)
  return {r["step"]: r["loss"] for r in rows if r["split"] == "train"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """An undisturbed run."""
  workdir = tmp_path_factory.mktemp("whole")
  outcome = train.train(config(), workdir)
  assert outcome == train.Outcome(6, None)
  return workdir


def test_the_log_has_every_step_and_losses_fall(whole):
  logged = losses(whole)
  assert list(logged) == [1, 2, 3, 4, 5, 6]
  rows = metric_log.read_metrics(whole)
  assert rows[-1]["images_seen"] == 6 * 16
  assert rows[0]["learning_rate"] == 0.0, "warm-up starts at zero"


def test_one_device_has_the_losses_of_four(whole, tmp_path):
  train.train(config(), tmp_path, devices=jax.devices()[:1])
  ours, theirs = losses(tmp_path), losses(whole)
  np.testing.assert_allclose(
    list(ours.values()), list(theirs.values()), rtol=1e-5
  )


@pytest.mark.parametrize(
  "stop_at", [3, pytest.param(4, marks=pytest.mark.slow("trains on"))]
)
def test_a_stopped_run_resumes_to_the_same_bits(
  whole, tmp_path, monkeypatch, stop_at
):
  """Runs stop between two steps that are saved anyway, or at one of them."""
  after = train.Loop._after_step

  def send_signal(loop, step, *, stopping):
    if step == stop_at:
      os.kill(os.getpid(), signal.SIGTERM)
    after(loop, step, stopping=stopping)

  monkeypatch.setattr(train.Loop, "_after_step", send_signal)
  outcome = train.train(config(), tmp_path)
  monkeypatch.undo()
  # The signal is seen at the same step or, at the latest, at the next one.
  assert outcome.stopped_by == signal.SIGTERM
  assert outcome.step in (stop_at, stop_at + 1)
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
  assert train.train(config(), tmp_path) == train.Outcome(6, None)
  assert final_hash(tmp_path) == final_hash(whole)
  assert losses(tmp_path) == losses(whole)


def test_a_finished_run_is_left_alone(whole):
  before = final_hash(whole), (whole / "metrics.jsonl").read_text()
  assert train.train(config(), whole) == train.Outcome(6, None)
  assert before == (final_hash(whole), (whole / "metrics.jsonl").read_text())


def test_another_config_is_refused(whole):
  with pytest.raises(errors.UserError, match=r"train\.seed is 1, was 0"):
    train.train(config(seed=1), whole)


def test_a_damaged_checkpoint_is_passed_over(whole, tmp_path):
  shutil.copytree(whole, tmp_path / "run")
  newest = tmp_path / "run" / checkpoints.FOLDER / "6"
  files = [p for p in newest.rglob("*") if p.is_file()]
  largest = max(files, key=lambda p: p.stat().st_size)
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 16
  largest.write_bytes(content)
  assert train.train(config(), tmp_path / "run").step == 6
  assert final_hash(tmp_path / "run") == final_hash(whole)
  assert losses(tmp_path / "run") == losses(whole)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
  raw = config(log_every=4)
  step = train.programs.steps.make_step

  def poisoned(*args, **kwargs):
    inner = step(*args, **kwargs)

    def run(now, batch, key):
      new, metrics = inner(now, batch, key)
      bad = now.step == 2
      loss = jax.numpy.where(bad, jax.numpy.nan, metrics["loss"])
      return new, metrics | {"loss": loss}

    return run

  monkeypatch.setattr(train.programs.steps, "make_step", poisoned)
  with pytest.raises(errors.RunError) as caught:
    train.train(raw, tmp_path)
  assert "loss is nan at step 3" in str(caught.value)
  assert "last good checkpoint is of step 2" in str(caught.value)
  step, _, _ = checkpoints.load(tmp_path)
  assert step == 2


def command(workdir, *arguments):
  return [
    sys.executable, "-m", "pseudovideo.main", "--mode=train",
    "--config=configs/hvae.py:preset=tiny", f"--workdir={workdir}",
    "--config.train.save_every=2", "--config.train.eval_every=0",
    "--config.train.log_every=1", "--config.optimizer.eps=0.1",
    "--config.task.levels=2", "--config.model.multipliers=(1,)",
    "--config.model.attention=()", *arguments,
  ]  # fmt: skip


def wait_for_step(workdir, step, process):
  """Until the log has a step, or fails."""
  log = pathlib.Path(workdir, "metrics.jsonl")
  for _ in range(2400):
    if log.exists() and re.search(rf'"step": {step},', log.read_text()):
      return
    assert process.poll() is None, "the run ended before the signal"
    time.sleep(0.05)
  raise AssertionError(f"step {step} was not logged in two minutes")


def test_a_killed_process_resumes_to_the_same_bits(tmp_path):
  killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
  process = subprocess.Popen(
    command(killed, "--config.train.steps=6000"),
    cwd=ROOT,
    stderr=subprocess.DEVNULL,
  )
  try:
    wait_for_step(killed, 5, process)
  finally:
    process.kill()
  assert process.wait() == -signal.SIGKILL
  saved, _, _ = checkpoints.load(killed)
  assert 2 <= saved < 6000
  for workdir in (undisturbed, killed):
    _train_until(config(steps=6000), workdir, saved + 3)
  assert final_hash(killed) == final_hash(undisturbed)
  assert losses(killed) == losses(undisturbed)


def _train_until(raw, workdir, stop):
  """Trains a long run and stops it at a step, as a signal would."""
  loop = train.Loop(raw, workdir)
  try:
    after = loop._after_step

    def stop_here(step, *, stopping):
      after(step, stopping=stopping or step == stop)
      if step == stop:
        raise _Enough

    loop._after_step = stop_here
    with pytest.raises(_Enough):
      loop.run()
  finally:
    loop.close()


class _Enough(Exception):
  pass


def test_a_signal_saves_and_ends_without_a_traceback(tmp_path):
  number = signal.SIGINT
  arguments = command(tmp_path, "--config.train.steps=100000")
  process = subprocess.Popen(
    arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    text=True,
  )  # fmt: skip
  try:
    wait_for_step(tmp_path, 3, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
  finally:
    process.kill()
  assert process.returncode == 128 + number
  assert "Traceback" not in err
  step = int(re.search(r"Stopped by SIG\w+ at step (\d+)", out).group(1))
  assert checkpoints.load(tmp_path)[0] == step
  last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
  assert last["step"] == step

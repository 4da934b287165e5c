"""Two and more processes train as one does, and end together."""

import json
import pathlib
import re
import shutil
import signal
import time

import jax
import numpy as np
import pytest
from absl import flags

import processes
from pseudovideo import checkpoints, distributed, errors, main

PARTS = ("params", "ema", "opt_state", "extra")
# Adam makes equal steps out of rounding errors, unless eps is large.
ARGUMENTS = (
  "--mode=train",
  "--config=configs/hvae.py:preset=tiny",
  "--config.train.batch_size=16",
  "--config.train.log_every=1",
  "--config.train.save_every=2",
  "--config.optimizer.eps=0.1",
)


def command(workdir, *more, steps=4):
  return [
    *ARGUMENTS,
    f"--workdir={workdir}",
    f"--config.train.steps={steps}",
    f"--config.train.eval_every={steps}",
    *more,
  ]


def losses(workdir):
  lines = pathlib.Path(workdir, "metrics.jsonl").read_text().splitlines()
  rows = map(json.loads, lines)
  return {(row["split"], row["step"]): row["loss"] for row in rows}


def assert_same_losses(one, other):
  one, other = losses(one), losses(other)
  assert one.keys() == other.keys()
  np.testing.assert_allclose(
    list(one.values()), list(other.values()), rtol=2e-5
  )


def assert_same_weights(one, other, **tolerance):
  first, second = (checkpoints.load(run, parts=PARTS) for run in (one, other))
  assert first[0] == second[0]
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, **tolerance),
    first[1],
    second[1],
  )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """Four steps of one process with four devices."""
  workdir = tmp_path_factory.mktemp("alone")
  assert main.main(command(workdir)) == 0
  return workdir


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
  """The same of two processes with two devices each."""
  workdir = tmp_path_factory.mktemp("pair")
  processes.run(2, command(workdir))
  return workdir


def test_two_processes_train_as_one(alone, pair):
  assert_same_losses(alone, pair)
  assert_same_weights(alone, pair, rtol=1e-4, atol=1e-6)
  for picture in sorted(path.name for path in alone.glob("images/**/*.png")):
    assert list(pair.glob(f"images/**/{picture}"))


def test_one_process_goes_on_from_two(alone, pair, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(pair, workdir)
  shutil.rmtree(workdir / checkpoints.FOLDER / "4")
  assert main.main(command(workdir)) == 0
  assert_same_losses(alone, workdir)

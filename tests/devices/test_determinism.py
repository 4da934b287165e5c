"""The same command gives the same bits, and XLA is told to see to it."""

import hashlib
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from pseudovideo.devices import xla
from pseudovideo.runs import checkpoints

PARTS = ("params", "ema", "opt_state", "extra")
ROOT = pathlib.Path(__file__).parents[2]


def run(*arguments, **environment):
  subprocess.run(
    [sys.executable, *arguments],
    cwd=ROOT,
    env=os.environ | environment,
    check=True,
  )


def test_the_flag_reaches_xla(tmp_path):
  code = (
    "from pseudovideo.devices import xla; xla.make_deterministic()\n"
    "import jax; jax.jit(lambda x: x + 1)(1.0)"
  )
  run("-c", code, XLA_FLAGS=f"--xla_dump_to={tmp_path}")
  dumped = [path.read_text() for path in tmp_path.glob("*debug_options*")]
  assert dumped
  assert all("xla_gpu_deterministic_ops: true" in text for text in dumped)
  assert xla.DETERMINISTIC == "--xla_gpu_deterministic_ops=true"


@pytest.mark.slow("trains in two processes")
def test_two_processes_give_the_same_bits(tmp_path):
  """Weights, pictures and samples, which training draws too."""
  digests = []
  for name in ("one", "two"):
    workdir = tmp_path / name
    run(
      *("-m", "pseudovideo.main", "--mode=train", "--deterministic"),
      *("--config=configs/hvae.py:preset=tiny", "--config.task.levels=2"),
      *("--config.model.multipliers=(1,)", "--config.model.attention=()"),
      f"--workdir={workdir}",
    )
    digests.append(_digest(workdir))
  assert digests[0] == digests[1]


def _digest(workdir):
  step, state, _ = checkpoints.load(workdir, parts=PARTS)
  digest = hashlib.sha256(str(step).encode())
  for leaf in jax.tree.leaves(state):
    digest.update(np.asarray(leaf).tobytes())
  pictures = sorted(workdir.rglob("*.png"))
  assert any(path.name.startswith("samples_") for path in pictures)
  for path in pictures:
    digest.update(path.read_bytes())
  return digest.hexdigest()

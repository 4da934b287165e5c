"""The same command gives the same bits, and XLA is told to see to it."""

import hashlib
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from pseudovideo import checkpoints, determinism

PARTS = ("params", "ema", "opt_state", "extra")
ROOT = pathlib.Path(__file__).parents[1]


def run(*arguments, **environment):
  subprocess.run(
    [sys.executable, *arguments],
    cwd=ROOT,
    env=os.environ | environment,
    check=True,
  )


def test_the_flag_reaches_xla(tmp_path):
  code = (
    "from pseudovideo import determinism; determinism.enable()\n"
    "import jax; jax.jit(lambda x: x + 1)(1.0)"
  )
  run("-c", code, XLA_FLAGS=f"--xla_dump_to={tmp_path}")
  dumped = [path.read_text() for path in tmp_path.glob("*debug_options*")]
  assert dumped
  assert all("xla_gpu_deterministic_ops: true" in text for text in dumped)
  assert determinism.XLA_FLAG == "--xla_gpu_deterministic_ops=true"


@pytest.mark.slow
def test_two_processes_give_the_same_bits(tmp_path):
  """Weights, pictures and samples."""
  digests = []
  for name in ("one", "two"):
    workdir = tmp_path / name
    common = (
      "-m", "pseudovideo.main", f"--workdir={workdir}", "--deterministic"
    )  # fmt: skip
    run(*common, "--mode=train", "--config=configs/hvae.py:preset=tiny")
    run(*common, "--mode=sample", "--num_samples=4")
    digests.append(_digest(workdir))
  assert digests[0] == digests[1]


def _digest(workdir):
  step, state, _ = checkpoints.load(workdir, parts=PARTS)
  digest = hashlib.sha256(str(step).encode())
  for leaf in jax.tree.leaves(state):
    digest.update(np.asarray(leaf).tobytes())
  pictures = sorted(workdir.rglob("*.png"))
  samples = sorted(workdir.rglob("*.npz"))
  assert pictures
  assert samples
  for path in pictures:
    digest.update(path.read_bytes())
  for path in samples:
    digest.update(np.load(path)["images"].tobytes())
  return digest.hexdigest()

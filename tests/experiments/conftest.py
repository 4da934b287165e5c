"""Results made by hand and other processes, for tests of experiments."""

import contextlib
import copy
import pathlib
import subprocess
import sys

import pytest

from pseudovideo.evaluation import evaluate
from pseudovideo.runs import results, sample_files

ROOT = pathlib.Path(__file__).parents[2]
NETWORK = {
  "name": "x",
  "weights_hash": "abc",
  "held_out_accuracy": 0.995,
}


def make_record(job, value=1.0, *, real=0.5, seconds=10.0, network=NETWORK):
  """A record of a finished job, whose only score is FD-x."""

  def scored(number, images):
    return {
      "FD-x": {
        "name": "FD-x",
        "value": number,
        "definition": "A distance.",
        "num_samples": images,
        "reference_split": "train",
        "reference_size": 100,
        "feature_network": network,
      }
    }

  provenance = results.provenance()
  provenance["device"]["kind"] = "abacus"
  return {
    "metrics": {"generated": scored(value, 1000), "real": scored(real, 360)},
    "seeds": {"train": job.seed, "sample": job.seed},
    "samples_file": None,
    "ema": True,
    "step": job.config.raw["train"]["steps"],
    "images_seen": 128,
    "num_parameters": 12345,
    "network_evaluations": 50,
    "wall_seconds": {"train": seconds, "sample": 1.0},
    "data": {"fingerprint": "f"},
    "config": copy.deepcopy(job.config.raw),
    "provenance": provenance,
  }


def write_finished(job, root, **fields):
  """Writes the files of a finished run; returns its record."""
  record = make_record(job, **fields)
  results.write(job.workdir(root) / evaluate.RESULTS_FILE, record)
  (job.workdir(root) / sample_files.NAME).touch()
  return record


@pytest.fixture(name="make_record")
def _make_record():
  return make_record


@pytest.fixture(name="write_finished")
def _write_finished():
  return write_finished


@contextlib.contextmanager
def other_process(path):
  """A process that holds a lock until it is killed."""
  code = (
    "import sys, time, pathlib; from experiments.running import locks\n"
    "with locks.hold(pathlib.Path(sys.argv[1])) as mine:\n"
    "  print(mine, flush=True); time.sleep(600)"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", code, str(path)],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    text=True,
  )
  try:
    assert process.stdout.readline() == "True\n"
    yield process
  finally:
    process.kill()
    process.communicate()


@pytest.fixture(name="other_process")
def _other_process():
  return other_process

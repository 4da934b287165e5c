"""Results made by hand, for tests of experiments."""

import copy
import pathlib

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
    "metrics": {
      "generated": scored(value, job.config.evaluate.num_samples),
      "real": scored(real, 360),
    },
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

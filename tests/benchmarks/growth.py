"""Prints in JSON how memory grows by what is written and kept.

For a process of its own: in one that runs other tests, memory that they leave
is freed and taken again meanwhile. `ALLOCATOR` goes into its environment: glibc
otherwise keeps some freed arrays, ten to twenty megabytes that differ by run.
"""

import json
from unittest import mock

import numpy as np

from benchmarks import metrics as benchmark
from pseudovideo.metrics import summary
from pseudovideo.pretrained import features

STREAM = 40 * 256
ALLOCATOR = {
  "MALLOC_MMAP_THRESHOLD_": "65536",
  "MALLOC_TRIM_THRESHOLD_": "65536",
}
kept = []


class Hoarder(features.FeatureNetwork):
  """Keeps 200 kB per image."""

  def stream(self, blocks):
    for block in blocks:
      kept.append(np.ones((len(block), 200_000), np.uint8))
      yield block


def keep_all(network, source, *, keep, look=summary.summarize):
  """Keeps all features, whatever `keep` says."""
  del keep
  return look(network, source, keep=summary.KEPT)


def written():
  """What the resident memory grows by when 64 MB are written, in MB."""
  before = benchmark.resident_mb()
  array = np.ones(64_000_000, np.uint8)
  return array[-1] * (benchmark.resident_mb() - before)


def growths():
  """Megabytes by what is kept."""
  written_mb = written()
  found = {"nothing": benchmark.measure_memory(STREAM)}
  with mock.patch.object(summary, "summarize", keep_all):
    found["features"] = benchmark.measure_memory(STREAM)
  network = Hoarder(**vars(benchmark.random_network()))
  found["images"] = benchmark.measure_network(network, 1024)
  grown = {name: measured["growth_mb"] for name, measured in found.items()}
  return {"written": written_mb, **grown}


if __name__ == "__main__":
  print(json.dumps(growths()))

"""Memory that a process keeps between programs."""

import os
import platform
import subprocess
import sys

import pytest

CALLS = """
import resource, sys
import jax, jax.numpy as jnp
from pseudovideo.devices import heap
if sys.argv[1] == "kept":
  assert heap.keep_freed_memory()
x = jnp.ones((2000, 2000))
program = jax.jit(lambda x: (jnp.cumsum(x, 0) @ jnp.sort(x, 1)).sum())
faults = []
for _ in range(8):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  program(x).block_until_ready()
  faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults))
"""


@pytest.mark.slow("watches the memory of processes")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_program_finds_its_memory_again():
  """Its temporary arrays of 32 MB are 8,000 pages, or 16 of two megabytes."""
  faults = {}
  clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
  for name in ("kept", "returned"):
    command = [sys.executable, "-c", CALLS, name]
    faults[name] = int(subprocess.check_output(command, env=clean, text=True))
  assert faults["kept"] < 100 < faults["returned"]

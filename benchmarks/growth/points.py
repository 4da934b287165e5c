"""Time and memory of one program at one size."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from benchmarks import costs, memory, rows, timing
from benchmarks.growth import counts, systems

LEAST_SECONDS = 0.1
"""Processor seconds of one measurement, of as many calls as it takes."""


def measure(program: systems.Program, *, repeats: int) -> rows.Found:
  """Compiles a program, counts in it, and times it.

  Args:
    program: it is taken apart: its state is not there any more.
    repeats: number of measurements.

  Returns:
    cpu_seconds and seconds of a call (medians) and least_cpu_seconds;
    compile_seconds; of the program as it is written, gflop of products
    (`costs.flops`) and 10^9 other_numbers (`counts.numbers`); temporary_mb and
    argument_mb, what XLA plans; on Linux resident_mb, the most that calls add
    to what is there.
  """
  begin = time.perf_counter()
  donated = 0 if program.advances else ()
  traced = jax.jit(program.function, donate_argnums=donated).trace(
    *program.arguments
  )
  compiled = traced.lower().compile()
  found = {"compile_seconds": time.perf_counter() - begin}
  plan, written = compiled.memory_analysis(), traced.jaxpr.jaxpr
  found |= {
    "gflop": costs.flops(written) / 1e9,
    "other_numbers": counts.numbers(written) / 1e9,
    "temporary_mb": plan.temp_size_in_bytes / 1e6,
    "argument_mb": plan.argument_size_in_bytes / 1e6,
  }
  if program.advances:
    call = timing.advancing(compiled, *program.arguments)
  else:
    call = lambda: compiled(*program.arguments)  # noqa: E731
  added = memory.added_mb(lambda: found.update(clocked(call, repeats)))
  return found if added is None else found | {"resident_mb": added}


def clocked(call: Callable[[], Any], repeats: int) -> rows.Found:
  """The time of a call: `cpu_seconds`, `seconds`, `least_cpu_seconds`."""
  jax.block_until_ready(call())
  times = math.ceil(LEAST_SECONDS / max(_block(call, 1)[1], 1e-4))
  walls, cpus = zip(*(_block(call, times) for _ in range(repeats)), strict=True)
  return {
    "cpu_seconds": statistics.median(cpus),
    "seconds": statistics.median(walls),
    "least_cpu_seconds": min(cpus),
  }


def _block(call: Callable[[], Any], times: int) -> tuple[float, float]:
  """Seconds and processor seconds of a call, the mean of some."""
  wall, cpu = time.perf_counter(), time.process_time()
  for _ in range(times):
    jax.block_until_ready(call())
  return (
    (time.perf_counter() - wall) / times,
    (time.process_time() - cpu) / times,
  )

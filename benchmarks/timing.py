"""Compilation and timing for benchmarks."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax


def program(
  function: Callable[..., Any], arguments: tuple[Any, ...], **options: Any
) -> tuple[Callable[..., Any], dict[str, float]]:
  """The compiled function; compile_seconds, gflop and xla_memory_gb.

  The last is what XLA plans for arguments and temporary arrays.
  """
  begin = time.perf_counter()
  lowered = jax.jit(function, **options).lower(*arguments)
  compiled = lowered.compile()
  found = {
    "compile_seconds": time.perf_counter() - begin,
    "gflop": lowered.cost_analysis().get("flops", 0.0) / 1e9,
  }
  plan = compiled.memory_analysis()
  if plan is not None:
    planned = plan.argument_size_in_bytes + plan.temp_size_in_bytes
    found["xla_memory_gb"] = planned / 1e9
  return compiled, found


def seconds(function: Callable[[], Any], repeats: int) -> list[float]:
  """The duration of each call, after two more to warm up."""
  found = []
  for _ in range(repeats + 2):
    begin = time.perf_counter()
    jax.block_until_ready(function())
    found.append(time.perf_counter() - begin)
  return found[2:]


def advancing(
  update: Callable[..., tuple[Any, Any]], state: Any, *inputs: Any
) -> Callable[[], tuple[Any, Any]]:
  """A function without arguments, each call of which updates the state."""

  def advance():
    nonlocal state
    state, metrics = update(state, *inputs)
    return state, metrics

  return advance


def medians(function: Callable[[], Any], repeats: int) -> dict[str, float]:
  """`seconds` and `cpu_seconds` of the same calls, after one to warm up."""
  clocks = {"seconds": time.perf_counter, "cpu_seconds": time.process_time}
  found = []
  for _ in range(repeats + 1):
    begin = [clock() for clock in clocks.values()]
    jax.block_until_ready(function())
    end = [clock() for clock in clocks.values()]
    found.append([b - a for a, b in zip(begin, end, strict=True)])
  columns = zip(*found[1:], strict=True)
  return dict(zip(clocks, map(statistics.median, columns), strict=True))

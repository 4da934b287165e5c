"""Measures one row in a process that has so many cores and no more.

  python -m benchmarks.peers.child ROW CORES REPEATS FILE

It writes the results to FILE. CORES are numbers with commas between; jax and
torch look at what the process may use when they are imported.
"""

import json
import os
import pathlib
import sys


def main(argv: list[str]) -> int:
  """Measures; returns the exit code."""
  row, cores, repeats, file = argv
  chosen = {int(core) for core in cores.split(",")}
  os.sched_setaffinity(0, chosen)
  from pseudovideo.devices import heap

  heap.keep_freed_memory()  # As all commands do; for both.
  import torch

  from benchmarks.peers import pairs, table
  from pseudovideo import errors
  from pseudovideo.terminal import command_line

  torch.set_num_threads(len(chosen))

  def measure(_) -> int:
    try:
      made = table.ROWS[row].make()
    except ImportError as error:
      raise errors.RunError(
        f"A package of the row {row} cannot be imported ({error})."
      ) from error
    # Each pair is freed before the next.
    found = {n: pairs.measure(made.pop(n), int(repeats)) for n in [*made]}
    pathlib.Path(file).write_text(json.dumps(found))
    return 0

  return command_line.exit_code(measure, [])


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

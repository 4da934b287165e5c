"""Time of drawing grids of tokens: one after another, and all at once.

  python -m benchmarks.token_sampling [--rows=next_256,masked_256] \\
      [--repeats=3] [--out=FILE.json]

A row draws a batch from the networks of Tables 8 and 9 for CIFAR-10 with
initial weights, which cost what trained ones do: 64, 256 and 576 tokens are
those of 1, 8 and 18 frames. Where the peer's time is with decoding to pixels,
so is ours. Programs are compiled without a cache on disk.

Processor seconds are of all cores together: what PyTorch took on one
thread can be compared with them, and they do not grow much when other programs
run beside.
"""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from absl import flags

from benchmarks import rows, timing
from configs import token_prior, tokenizer
from pseudovideo import keys
from pseudovideo.config import parsing
from pseudovideo.terminal import command_line

IMAGE_SHAPE = (32, 32, 3)
PEER = (
  "published PyTorch code, float32, one thread; masked with decoding, 18 "
  "passes without the doubled ones"
)


class Row(NamedTuple):
  """Order, frames, batch, True if pixels are made, the peer's seconds."""

  order: str
  frames: int
  batch: int
  decoded: bool
  peer: float | None


ROWS = {
  "next_64": Row("next", 1, 1, False, 0.36),
  "next_64_batch_16": Row("next", 1, 16, False, 0.58),
  "next_256": Row("next", 8, 1, False, 1.51),
  "next_256_batch_16": Row("next", 8, 16, False, 2.93),
  "next_256_batch_64": Row("next", 8, 64, False, None),
  "next_576": Row("next", 18, 1, False, 3.92),
  "masked_64": Row("masked", 1, 1, True, 0.98),
  "masked_256": Row("masked", 8, 1, True, 4.00),
  "masked_256_batch_16": Row("masked", 8, 16, True, None),
}


def make_task(row: Row) -> Any:
  """The task of a row, over a tokenizer as published."""
  raw = token_prior.get_config(
    f"dataset=cifar10,order={row.order},preset=paper"
  )
  source = tokenizer.get_config(
    f"dataset=cifar10,frames={row.frames},recipe=as_published,preset=paper"
  )
  source.task.adversarial = False
  raw.tokenizer.config = source
  return parsing.parse(raw).make_task(IMAGE_SHAPE)


def measure(task: Any, row: Row, *, repeats: int) -> dict[str, float]:
  """Compiles and times a batch.

  Args:
    task: a task of `make_task`.
    row: its row, with the number of grids, decoded or not.
    repeats: number of calls that are timed.

  Returns:
    parameters of the network; cpu_seconds and seconds of the batch (medians),
    gflop, compile_seconds; cpu_seconds_per_grid, tokens_per_second and
    tokens_per_cpu_second.
  """
  key = jax.random.key(0)
  params = task.init_params(keys.named(key, "init"))
  weights, state = task.coder.init(keys.named(key, "coder"), None)
  extra = {"frozen": {"tokenizer": {"params": weights, "extra": state}}}
  method = task.sample if row.decoded else task.sample_ids

  def draw(params, extra, key):
    return method(params, extra, key=key, num=row.batch)

  call, found = timing.program(draw, (params, extra, key))
  found |= timing.medians(lambda: call(params, extra, key), repeats)
  drawn = row.batch * task.num_tokens
  return {
    "parameters": sum(x.size for x in jax.tree.leaves(params)),
    **found,
    "cpu_seconds_per_grid": found["cpu_seconds"] / row.batch,
    "tokens_per_second": drawn / found["seconds"],
    "tokens_per_cpu_second": drawn / found["cpu_seconds"],
  }


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  return rows.define_flags(ROWS, repeats=3)


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, ROWS, {"repeats": 1})

  def compared(row: Row) -> dict[str, float]:
    found = measure(make_task(row), row, repeats=values.repeats)
    if rows.on_cpu() and row.peer is not None:
      found["cpu_seconds_over_peer"] = found["cpu_seconds"] / row.peer
    return found

  rows.write(
    values,
    rows.measured(chosen, compared),
    batch={name: row.batch for name, row in chosen.items()},
    peer={
      "source": PEER,
      "cpu_seconds": {name: row.peer for name, row in chosen.items()},
    },
  )
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

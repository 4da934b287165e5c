"""Time of drawing grids of tokens: one after another, and all at once.

  python -m benchmarks.token_sampling [--rows=next_256,masked_256] \\
      [--repeats=3] [--out=FILE.json]

A row draws a batch from the networks of Tables 8 and 9 for CIFAR-10 with
initial weights, which cost what trained ones do: 64, 256 and 576 tokens are
for 1, 8 and 18 frames. Masked ones are decoded to pixels. Programs are compiled
without a cache on disk.

Processor seconds are of all cores together; they do not grow much when other
programs run beside.
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


class Row(NamedTuple):
  """Order, frames, batch, and True if pixels are made."""

  order: str
  frames: int
  batch: int
  decoded: bool


ROWS = {
  "next_64": Row("next", 1, 1, False),
  "next_64_batch_16": Row("next", 1, 16, False),
  "next_256": Row("next", 8, 1, False),
  "next_256_batch_16": Row("next", 8, 16, False),
  "next_256_batch_64": Row("next", 8, 64, False),
  "next_576": Row("next", 18, 1, False),
  "masked_64": Row("masked", 1, 1, True),
  "masked_256": Row("masked", 8, 1, True),
  "masked_256_batch_16": Row("masked", 8, 16, True),
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
  found = rows.measured(
    chosen, lambda row: measure(make_task(row), row, repeats=values.repeats)
  )
  batch = {name: row.batch for name, row in chosen.items()}
  rows.write(values, found, batch=batch)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

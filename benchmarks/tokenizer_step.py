"""Time of tokenizers: one update, with and without discriminator; encoding.

  python -m benchmarks.tokenizer_step [--rows=frames_8,frames_8_gan] \\
      [--repeats=3] [--width=512] [--out=FILE.json]

A row is the network of Sec. 3 for 32x32x3 images as published, in batches of 2.
The update is training's, pseudo videos included; encoding is from uint8
images to ids. Images are synthetic and on the device already. Programs are
compiled without a cache on disk.

Processor seconds are of all cores together; they do not grow much when other
programs run beside.
"""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from benchmarks import rows, timing
from configs import tokenizer
from pseudovideo import keys, optimizers, shapes
from pseudovideo.config import parsing
from pseudovideo.tasks import base
from pseudovideo.terminal import command_line
from pseudovideo.training import state, steps

BATCH = 2
IMAGE_SHAPE = (32, 32, 3)


class Row(NamedTuple):
  """Frames, and True with a discriminator."""

  frames: int
  adversarial: bool


ROWS = {
  "frames_1": Row(1, False),
  "frames_1_gan": Row(1, True),
  "frames_8": Row(8, False),
  "frames_8_gan": Row(8, True),
  "frames_18": Row(18, False),
}


def make_task(row: Row, width: int = 512) -> tuple[Any, Any]:
  """The config and task of a row; `width` 512 is the paper's."""
  raw = tokenizer.get_config(
    f"dataset=cifar10,frames={row.frames},recipe=as_published,preset=paper"
  )
  raw.task.adversarial = row.adversarial
  raw.model.width = raw.quantizer.width = width
  config = parsing.parse(raw)
  return config, config.make_task(IMAGE_SHAPE)


def measure(config: Any, task: base.Task, *, repeats: int) -> dict[str, float]:
  """Compiles and times one update and encoding.

  Args:
    config: config of `make_task`.
    task: its task.
    repeats: number of calls that are timed.

  Returns:
    parameters; train_ and encode_ cpu_seconds, seconds (medians), gflop and
    compile_seconds; tokens, of one image; tokens_per_second of encoding, and
    per processor second.
  """
  key = jax.random.key(0)
  tx = optimizers.for_players(
    config.optimizer, config.train.steps, base.discriminator_optimizer(task)
  )
  now = state.create(*task.init(keys.named(key, "init"), None), tx)
  rng = np.random.default_rng(0)
  images = jax.device_put(
    rng.integers(0, 256, (BATCH, *task.image_shape), np.uint8)
  )
  found = {"parameters": shapes.count_parameters(now.params)}

  def encode(params, extra, images, key):
    return task.encode(params, extra, images, key=key)

  arguments = (now.params, now.extra, images, key)
  run, fields = timing.program(encode, arguments)
  fields |= timing.medians(lambda: run(*arguments), repeats)
  found |= {f"encode_{name}": value for name, value in fields.items()}
  tokens = int(np.prod(task.grid_shape))
  found["tokens"] = tokens
  for name in ("seconds", "cpu_seconds"):
    found[f"tokens_per_{name.removesuffix('s')}"] = (
      BATCH * tokens / fields[name]
    )

  update, fields = timing.program(
    steps.make_step(task, tx, ema_decay=config.optimizer.ema_decay),
    (now, {"image": images}, key),
    donate_argnums=0,
  )
  advance = timing.advancing(update, now, {"image": images}, key)
  fields |= timing.medians(advance, repeats)
  return found | {f"train_{name}": value for name, value in fields.items()}


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  integers = {"width": (512, "Take networks of this width.")}
  return rows.define_flags(ROWS, repeats=3, integers=integers)


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, ROWS, {"repeats": 1, "width": 1})
  found = rows.measured(
    chosen,
    lambda row: measure(*make_task(row, values.width), repeats=values.repeats),
  )
  rows.write(values, found, batch=BATCH, width=values.width)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

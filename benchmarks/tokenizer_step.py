"""Time of tokenizers: one update, with and without discriminator; encoding.

  python -m benchmarks.tokenizer_step [--rows=frames_8,frames_8_gan] \\
      [--repeats=3] [--width=512] [--out=FILE.json]

A row is the network of Sec. 3 for 32x32x3 images as published, in batches of 2.
The update is that of training, pseudo videos included; encoding is from uint8
images to ids. Images are synthetic and on the device already. Programs are
compiled without a cache on disk.

Processor seconds are those of all cores together: what PyTorch took on one
thread can be compared with them, and they do not grow much when other programs
run beside.
"""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from benchmarks import timing
from configs import tokenizer
from pseudovideo import (
  command_line,
  configuration,
  errors,
  keys,
  optimizers,
  results,
  state,
  steps,
)
from pseudovideo.tasks import base

BATCH = 2
IMAGE_SHAPE = (32, 32, 3)
PEER = (
  "published PyTorch code, float32, one thread; with discriminator its own "
  "grid of 9 frames, and a frozen VGG-16 in the update"
)


class Row(NamedTuple):
  """Frames, whether there is a discriminator, the peer's processor seconds."""

  frames: int
  adversarial: bool
  peer: float | None


ROWS = {
  "frames_1": Row(1, False, 0.91),
  "frames_1_gan": Row(1, True, None),
  "frames_8": Row(8, False, 2.58),
  "frames_8_gan": Row(8, True, 5.48),
  "frames_18": Row(18, False, 5.90),
}


def make_task(row: Row, width: int = 512) -> tuple[Any, Any]:
  """The config and task of a row; `width` 512 is the paper's."""
  raw = tokenizer.get_config(
    f"dataset=cifar10,frames={row.frames},recipe=as_published,preset=paper"
  )
  raw.task.adversarial = row.adversarial
  raw.model.width = raw.quantizer.width = width
  config = configuration.parse(raw)
  return config, config.make_task(IMAGE_SHAPE)


def measure(config: Any, task: base.Task, *, repeats: int) -> dict[str, float]:
  """Compiles and times one update and encoding.

  Args:
    config: of `make_task`.
    task: of `make_task`.
    repeats: calls that are timed.

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
  found = {"parameters": state.count_parameters(now.params)}

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

  def advance():
    nonlocal now
    now, metrics = update(now, {"image": images}, key)
    return now, metrics

  update, fields = timing.program(
    steps.make_step(task, tx, ema_decay=config.optimizer.ema_decay),
    (now, {"image": images}, key),
    donate_argnums=0,
  )
  fields |= timing.medians(advance, repeats)
  return found | {f"train_{name}": value for name, value in fields.items()}


def define_flags() -> flags.FlagValues:
  """What can be said on the command line."""
  values = flags.FlagValues()
  for define, name, default, meaning in (
    (flags.DEFINE_string, "rows", ",".join(ROWS), "Which, with commas."),
    (flags.DEFINE_integer, "repeats", 3, "Calls to time."),
    (flags.DEFINE_integer, "width", 512, "Of the network."),
    (flags.DEFINE_string, "out", None, "JSON file to write, with provenance."),
  ):
    define(name, default, meaning, flag_values=values)
  return values


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  if command_line.parse(argv, values) is not None:
    raise errors.UserError("This command takes no config; leave --config away.")
  rows = {
    name: errors.look_up("--rows", name, ROWS)
    for name in values.rows.split(",")
  }
  for name in ("repeats", "width"):
    if values[name].value < 1:
      raise errors.UserError(
        f"--{name} must be at least 1; got {values[name].value}."
      )
  device, table = jax.devices()[0], {}
  print(f"float32 on {device.device_kind}, jax {jax.__version__}")
  for name, row in rows.items():
    found = measure(*make_task(row, values.width), repeats=values.repeats)
    published = device.platform == "cpu" and values.width == 512
    if published and row.peer is not None:
      found["train_cpu_seconds_over_peer"] = (
        found["train_cpu_seconds"] / row.peer
      )
    table[name] = found
    print(name)
    for field, value in found.items():
      print(f"  {field:<32}{value:>12.4g}", flush=True)
  if values.out:
    record = {
      "values": table,
      "repeats": values.repeats,
      "batch": BATCH,
      "width": values.width,
      "peer": {
        "source": PEER,
        "cpu_seconds": {name: row.peer for name, row in rows.items()},
      },
      "provenance": results.provenance(),
    }
    pathlib.Path(values.out).write_text(json.dumps(record, indent=2) + "\n")
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

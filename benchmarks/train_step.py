"""Time, arithmetic and memory of one update.

  python -m benchmarks.train_step --config=configs/hvae.py [--repeats=50] \\
      [--sampling] [--out=FILE.json]

Prints seconds per update (median, after warm-up), images per second, GFLOP per
update as XLA counts them (one device's share; the body of a loop counts once)
and the rate that follows, the time to compile (or to load what an earlier call
compiled), and the peak memory of the device where it tells. Batches are on the
device already: this is the model's speed, without reading data. With
--sampling, a batch of samples is timed as well.
"""

import json
import pathlib
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags

from pseudovideo import data, errors, keys, optimizers
from pseudovideo.config import parsing
from pseudovideo.data import pipeline
from pseudovideo.devices import sharding
from pseudovideo.evaluation import sampling
from pseudovideo.files import writable
from pseudovideo.first_stages import given
from pseudovideo.runs import results
from pseudovideo.tasks import base
from pseudovideo.terminal import command_line, run_flags
from pseudovideo.training import state, steps


def measure(
  config: Any,
  *,
  repeats: int,
  with_samples: bool = False,
  data_dir: str | None = None,
) -> dict[str, float]:
  """Compiles and times the update of a config.

  Args:
    config: a ConfigDict, its JSON form, or a parsed config.
    repeats: number of updates that are timed.
    with_samples: True times samples too, `train.batch_size` at a time.
    data_dir: folder of TFDS data sets.

  Returns:
    seconds, images_per_second, gflop, gflops_per_second, compile_seconds and,
    where the device tells, peak_memory_gb; sampled_images_per_second.
  """
  config = parsing.parse(config)
  image_set = data.load(config.data.name, data_dir=data_dir)
  task = config.make_task(image_set.image_shape)
  mesh = sharding.make_mesh()
  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  tx = optimizers.for_players(
    config.optimizer, config.train.steps, base.discriminator_optimizer(task)
  )
  key = jax.random.key(config.train.seed)
  params, extra = given.init(task, keys.named(key, "init"), image_set)
  now = jax.device_put(state.create(params, extra, tx), whole)
  examples = given.examples(
    task, extra, image_set, batch_size=config.evaluate.batch_size
  )
  batches = pipeline.Batches(
    examples.train,
    image_set.train_labels,
    batch_size=config.train.batch_size,
    seed=config.train.seed,
    name=examples.name,
  )
  batch = sharding.put_batch(batches.batch(0), mesh)
  update = jax.jit(
    steps.make_step(
      task,
      tx,
      ema_decay=config.optimizer.ema_decay,
      ema_warmup=config.optimizer.ema_warmup,
      accumulate=config.train.accumulate,
    ),
    in_shardings=(whole, cut, whole),
    out_shardings=whole,
    donate_argnums=0,
  )
  begin = time.perf_counter()
  compiled = update.lower(now, batch, key).compile()
  compile_seconds = time.perf_counter() - begin
  seconds = []
  for _ in range(repeats + 3):
    begin = time.perf_counter()
    now, metrics = compiled(now, batch, key)
    jax.block_until_ready((now, metrics))
    seconds.append(time.perf_counter() - begin)
  median = statistics.median(seconds[3:])
  gflop = compiled.cost_analysis().get("flops", 0.0) / 1e9
  found = {
    "seconds": median,
    "images_per_second": config.train.batch_size / median,
    "gflop": gflop,
    "gflops_per_second": gflop / median,
    "compile_seconds": compile_seconds,
  }
  memory = jax.local_devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" in memory:
    found["peak_memory_gb"] = memory["peak_bytes_in_use"] / 1e9
  if with_samples:
    found["sampled_images_per_second"] = _sampling(
      task, now, mesh, config.train.batch_size
    )
  return found


def _sampling(task: Any, now: state.TrainState, mesh: Any, num: int) -> float:
  """Images per second of one call, the median of three after the first."""
  sample = sampling.make_sampler(task, mesh)
  seconds = []
  for seed in range(4):
    rows = keys.example_keys(jax.random.key(seed), num)
    begin = time.perf_counter()
    jax.block_until_ready(sample(now.params, now.extra, rows))
    seconds.append(time.perf_counter() - begin)
  return num / statistics.median(seconds[1:])


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command, apart from --config."""
  values = flags.FlagValues()
  flags.DEFINE_integer(
    "repeats", 50, "Time so many updates.", flag_values=values
  )
  run_flags.define_data_dir(values)
  flags.DEFINE_boolean(
    "sampling", False, "Time a batch of samples as well.", flag_values=values
  )
  flags.DEFINE_string(
    "out",
    None,
    "Write results and provenance to this JSON file.",
    flag_values=values,
  )
  return values


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  config = command_line.parse(argv, values)
  if config is None:
    raise errors.UserError("Say which config, with --config=configs/hvae.py.")
  if values.repeats < 1:
    raise errors.UserError(
      f"--repeats must be at least 1; got {values.repeats}."
    )
  if values.out:
    writable.check(values.out)
  command_line.set_up()
  found = measure(
    config,
    repeats=values.repeats,
    with_samples=values.sampling,
    data_dir=values.data_dir,
  )
  device = jax.devices()[0]
  print(f"{config.title} on {jax.device_count()} x {device.device_kind}")
  for name, value in found.items():
    print(f"{name:<20}{value:>14.4g}")
  if values.out:
    record = {
      "values": found,
      "repeats": values.repeats,
      "config": config.raw,
      "provenance": results.provenance(),
    }
    pathlib.Path(values.out).write_text(json.dumps(record, indent=2) + "\n")
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

"""Time, arithmetic and memory of diffusion: one update, one denoising step.

  python -m benchmarks.diffusion_step [--rows=image_128,video_128] \\
      [--dtype=float32] [--batch=0] [--repeats=10] [--peak_tflops=F] \\
      [--out=FILE.json]

A row is the network of Sec. 4.2 for 32x32x3 images at base width 32 or 128:
`image` is the baseline, `video` has windows of 2 observed and 1 latent frame.
The update is training's, pseudo videos included. The denoising step is the
sampler's, for the whole batch: a short run of it, divided by its
network evaluations. Images are synthetic and on the device already.

GFLOP are counted before XLA changes the program: the body of a loop once, hence
one denoising step, and on CPUs large convolutions with the 16 / 36 of the
multiplications that they take there. On an accelerator, --peak_tflops gives the
share of that peak. Programs are compiled without a cache on disk.
"""

import statistics
import sys
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from benchmarks import rows, timing
from pseudovideo import augmentations, errors, fields, keys, optimizers, shapes
from pseudovideo.diffusion import process
from pseudovideo.models import unet, video_unet
from pseudovideo.samplers import settings
from pseudovideo.tasks import base, image_diffusion, video_diffusion
from pseudovideo.terminal import command_line
from pseudovideo.training import state, steps

EVALUATIONS = 6  # Of the network, in one call of the sampler.


class Row(NamedTuple):
  """Kind of the network, its base width, and the batch."""

  kind: str
  channels: int
  batch: int


ROWS = {
  "image_32": Row("image", 32, 4),
  "video_32": Row("video", 32, 2),
  "image_128": Row("image", 128, 4),
  "video_128": Row("video", 128, 2),
}


def make_task(
  kind: str, image_shape: tuple[int, int, int] = (32, 32, 3), **model: Any
) -> base.Task:
  """The task of a row, of an `image` or a `video` of 4 frames in 3 stages.

  Its sampler evaluates the network `EVALUATIONS` times.
  """
  if kind == "image":
    return image_diffusion.ImageDiffusion(
      image_shape,
      unet.UNet(**model),
      process.Process(),
      settings.Sampler(respacing=str(EVALUATIONS)),
    )
  return video_diffusion.VideoDiffusion(
    image_shape,
    video_unet.VideoUNet(**model),
    augmentations.make("high_order", frames=4),
    process.Process(),
    settings.Sampler(respacing=str(EVALUATIONS // 3)),
    context=2,
  )


def measure(task: base.Task, *, batch: int, repeats: int) -> dict[str, float]:
  """Compiles and times both steps of a task.

  Args:
    task: a task of `make_task`.
    batch: number of images or videos per step.
    repeats: number of calls that are timed.

  Returns:
    parameters; the fields of `timing.program` and `_rates` with the prefix
    `train_` or `denoise_`; pseudo_video_share, the part of the update's time
    that it takes to make videos (not for images); and device_peak_gb, where the
    device tells, the most that was in use since the process started.
  """
  key = jax.random.key(0)
  config = optimizers.OptimizerConfig()
  tx = optimizers.make_optimizer(config, config.learning_rate)
  now = state.create(*task.init(keys.named(key, "init"), None), tx)
  rng = np.random.default_rng(0)
  images = jax.device_put(
    rng.integers(0, 256, (batch, *task.image_shape), np.uint8)
  )
  found = {"parameters": shapes.count_parameters(now.params)}

  def sample(params, extra, key):
    return task.sample(params, extra, key=key, num=batch)

  run, fields = timing.program(sample, (now.ema, now.extra, key))
  seconds = timing.seconds(lambda: run(now.ema, now.extra, key), repeats)
  fields |= _rates(fields, [s / task.network_evaluations for s in seconds])
  found |= {f"denoise_{name}": value for name, value in fields.items()}

  update, fields = timing.program(
    steps.make_step(task, tx, ema_decay=config.ema_decay),
    (now, {"image": images}, key),
    donate_argnums=0,
  )
  advance = timing.advancing(update, now, {"image": images}, key)
  fields |= _rates(fields, timing.seconds(advance, repeats))
  found |= {f"train_{name}": value for name, value in fields.items()}

  if isinstance(task, video_diffusion.VideoDiffusion):
    make = jax.jit(lambda x, key: task.pseudo_video(None, None, x, key=key))
    seconds = timing.seconds(lambda: make(images, key), repeats)
    share = statistics.median(seconds) / found["train_seconds"]
    found["pseudo_video_share"] = share
  memory = jax.local_devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" in memory:
    found["device_peak_gb"] = memory["peak_bytes_in_use"] / 1e9
  return found


def _rates(
  fields: dict[str, float], seconds: Sequence[float]
) -> dict[str, float]:
  """Computes seconds (the median), seconds_min and gflops_per_second."""
  median = statistics.median(seconds)
  return {
    "seconds": median,
    "seconds_min": min(seconds),
    "gflops_per_second": fields["gflop"] / median,
  }


def utilization(times: dict[str, float], tflops: float) -> dict[str, float]:
  """Computes {train,denoise}_model_flop_utilization for a device's peak."""
  return {
    f"{name}_model_flop_utilization": times[f"{name}_gflops_per_second"]
    / (1000 * tflops)
    for name in ("train", "denoise")
  }


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  integers = {
    "batch": (
      0,
      "Take so many images or videos per step; 0: as many as the row.",
    )
  }
  values = rows.define_flags(ROWS, repeats=10, integers=integers)
  flags.DEFINE_string(
    "peak_tflops",
    "",
    "Print shares of this peak, the device's TFLOP/s with --dtype.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "dtype", "float32", typing.get_args(fields.Dtype),
    "Compute in this type.",
    flag_values=values,
  )  # fmt: skip
  return values


def _peak(text: str) -> float | None:
  """--peak_tflops as a number; None if it is not given."""
  try:
    peak = float(text) if text else None
  except ValueError:
    peak = 0.0
  if peak is not None and not 0 < peak < float("inf"):
    raise errors.UserError(
      f"--peak_tflops must be a positive number; got {text!r}."
    )
  return peak


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, ROWS, {"repeats": 1, "batch": 0})
  peak = _peak(values.peak_tflops)

  def measured(row: Row) -> dict[str, float]:
    task = make_task(row.kind, channels=row.channels, dtype=values.dtype)
    found = {"batch": values.batch or row.batch}
    found |= measure(task, batch=found["batch"], repeats=values.repeats)
    if peak is not None:
      found |= utilization(found, peak)
    return found

  rows.write(
    values,
    rows.measured(chosen, measured, values.dtype),
    dtype=values.dtype,
    peak_tflops=peak,
  )
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

"""The cost of pseudo videos: microseconds per image and frame.

  python -m benchmarks.augmentations [--frames=8 --size=32 --batch=64]

Every augmentation is jitted, run once, and then timed; the median of
`--repeats` runs is printed. Two rows below the line are ways that the package
does not take: a blur by depthwise convolutions one after another, and noise
drawn at once for the batch instead of from one key per example.
"""

import dataclasses
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from pseudovideo import augmentations, errors, keys
from pseudovideo.augmentations import blur, common, noise
from pseudovideo.files import writable
from pseudovideo.terminal import command_line


@dataclasses.dataclass(frozen=True)
class Row:
  """The cost of one way to make videos."""

  name: str
  frames: int
  us_per_image: float
  us_per_frame: float


def convolution_blur(images: jax.Array, *, frames: int) -> jax.Array:
  """The video of `blur.Blur` by 2-D convolutions, one after another."""
  channels, video = images.shape[-1], [images]
  half = blur.HALF_WIDTH
  for std in blur.kernel_stds(frames, 0.05 if frames <= 8 else 0.01):
    taps = np.exp(-np.square(np.arange(-half, half + 1) / std) / 2)
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    video.append(
      jax.lax.conv_general_dilated(
        jnp.pad(
          video[-1],
          ((0, 0), (half, half), (half, half), (0, 0)),
          mode="reflect",
        ),
        np.float32(kernel)[:, :, None, None].repeat(channels, axis=3),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
        precision="highest",
      )
    )
  return jnp.stack(video[::-1], axis=1)


def one_draw_noise(
  images: jax.Array, *, key: jax.Array, frames: int
) -> jax.Array:
  """The video of `noise.FirstOrder`, with one key for the whole batch."""

  def step(previous, inputs):
    t, beta = inputs
    eps = jax.random.normal(jax.random.fold_in(key, t), (images.size,))
    frame = jnp.sqrt(1 - beta) * previous
    frame += jnp.sqrt(beta) * eps.reshape(images.shape)
    return frame, frame

  steps = jnp.arange(1, frames), jnp.float32(noise.FirstOrder(frames).betas())
  _, near_to_far = jax.lax.scan(step, images, steps)
  return common.append_image(jnp.moveaxis(near_to_far[::-1], 0, 1), images)


def microseconds(function: Callable[[], jax.Array], repeats: int) -> float:
  """The median duration of a call that has been compiled before."""
  jax.block_until_ready(function())
  durations = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(function())
    durations.append(time.perf_counter() - start)
  return 1e6 * statistics.median(durations)


def measure(
  frames: int, size: int, batch: int, repeats: int
) -> tuple[list[Row], list[Row]]:
  """Times every augmentation, then the two references."""
  key = jax.random.key(0)
  images = keys.uniform(keys.named(key, "images"), (batch, size, size, 3))

  def row(name: str, frames: int, function: Callable[..., jax.Array]) -> Row:
    compiled = jax.jit(function)
    cost = microseconds(lambda: compiled(images, key), repeats) / batch
    return Row(name, frames, cost, cost / frames)

  rows = []
  for name in augmentations.TABLE:
    fields = {} if name == "identity" else {"frames": frames}
    made = augmentations.make(name, **fields)
    rows.append(row(name, made.frames, lambda x, k, f=made: f(x, key=k)))
  references = [
    row(
      "blur by convolutions",
      frames,
      lambda x, k: convolution_blur(x, frames=frames),
    ),
    row(
      "first_order, one draw",
      frames,
      lambda x, k: one_draw_noise(x, key=k, frames=frames),
    ),
  ]
  return rows, references


def table(rows: Sequence[Row]) -> str:
  """One line per row, aligned."""
  return "\n".join(
    f"{row.name:<22} {row.frames:>6} {row.us_per_image:>12.1f} "
    f"{row.us_per_frame:>12.2f}"
    for row in rows
  )


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  for name, default, meaning in (
    ("frames", 8, "Make videos of so many frames, at least 2."),
    ("size", 32, "Take images of this side, in pixels."),
    ("batch", 64, "Take so many images per call."),
    ("repeats", 20, "Time so many calls."),
  ):
    flags.DEFINE_integer(name, default, meaning, flag_values=values)
  flags.DEFINE_string(
    "out", None, "Write results to this JSON file.", flag_values=values
  )
  return values


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values)
  if values.out:
    writable.check(values.out)
  for name, lowest in (
    ("frames", 2),
    ("size", 1),
    ("batch", 1),
    ("repeats", 1),
  ):
    if values[name].value < lowest:
      raise errors.UserError(
        f"--{name} must be at least {lowest}; got {values[name].value}."
      )
  command_line.set_up()
  rows, references = measure(
    values.frames, values.size, values.batch, values.repeats
  )
  device = f"{jax.devices()[0].device_kind}, jax {jax.__version__}"
  size, batch = values.size, values.batch
  print(f"{batch} images of {size}x{size}x3 on {device}")
  print(
    f"{'augmentation':<22} {'frames':>6} {'us per image':>12} "
    f"{'us per frame':>12}"
  )
  print(table(rows), "-" * 55, table(references), sep="\n")
  if values.out:
    report = {
      "device": device,
      "size": size,
      "batch": batch,
      "repeats": values.repeats,
      "rows": [dataclasses.asdict(row) for row in [*rows, *references]],
    }
    pathlib.Path(values.out).write_text(json.dumps(report, indent=2) + "\n")
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

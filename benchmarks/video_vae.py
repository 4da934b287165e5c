"""Time and memory of video VAEs, and of a denoiser in pixels and in latents.

  python -m benchmarks.video_vae [--rows=authors,small,pixels,latents] \\
      [--repeats=3] [--out=FILE.json]

`authors` and `small` encode one clip of 17 frames and decode the means of its
latents: the network of IV-VAE's published code (Z = 4, base 64) at 64x64, and
that code's network at base 16 with three levels at 32x32. `pixels` and
`latents` evaluate one video U-Net for a clip of 5 frames of 32x32x3, and for
what such a video VAE makes of it, 2 latents of 8x8x8. All weights are random.

Processor seconds are of all cores together; they do not grow much when other
programs run beside. GFLOP are counted before XLA changes the program. Programs
are compiled without a cache on disk.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks import memory, rows, timing, weights
from pseudovideo.models import video_unet
from pseudovideo.models.video_vae import iv_vae
from pseudovideo.terminal import command_line


class Row(NamedTuple):
  """A network and its input (T, H, W, C)."""

  net: iv_vae.IVVAE | video_unet.VideoUNet
  shape: tuple[int, int, int, int]


UNET = video_unet.VideoUNet(
  channels=64, multipliers=(1, 2, 2), blocks=2, attention=(1, 2), heads=4
)
SMALL = iv_vae.IVVAE(
  base=16, latent_channels=8, multipliers=(1, 2, 4), temporal=(True, True)
)
ROWS = {
  "authors": Row(iv_vae.IVVAE(latent_channels=4), (17, 64, 64, 3)),
  "small": Row(SMALL, (17, 32, 32, 3)),
  "pixels": Row(UNET, (5, 32, 32, 3)),
  "latents": Row(UNET, (2, 8, 8, 8)),
}


def make(row: Row) -> tuple[Callable[..., jax.Array], tuple[Any, ...]]:
  """The function that is timed, and its arguments: parameters, one input."""
  key = jax.random.key(0)
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.uniform(-1, 1, (1, *row.shape)), jnp.float32)
  if isinstance(row.net, iv_vae.IVVAE):
    params = weights.random(row.net.init, key, x[:, :1])["params"]
    return lambda params, x: row.net.apply({"params": params}, x), (params, x)
  frames, *image_shape = row.shape
  params = weights.random(
    lambda key: video_unet.init(row.net, key, tuple(image_shape), frames), key
  )

  def denoise(params, x):
    latent = jnp.ones((1, frames))
    return row.net.apply(
      {"params": params},
      x,
      jnp.full((1,), 500.0),
      x0=x,
      observed=0 * latent,
      latent=latent,
      frame_indices=jnp.arange(frames)[None],
    )

  return denoise, (params, x)


def measure(row: Row, *, repeats: int) -> dict[str, float]:
  """Compiles and times one call.

  Returns:
    parameters; the fields of `timing.program`; seconds and cpu_seconds
    (medians); on Linux resident_mb, the most that calls add to what is there
    with model, input and program.
  """
  function, arguments = make(row)
  count = sum(x.size for x in jax.tree.leaves(arguments[0]))
  call, fields = timing.program(function, arguments)
  found = {"parameters": count, **fields}

  def time():
    found.update(timing.medians(lambda: call(*arguments), repeats))

  added = memory.added_mb(time)
  if added is not None:
    found["resident_mb"] = added
  return found


def ratios(table: dict[str, rows.Found]) -> dict[str, float]:
  """The cost of pixels divided by the cost of latents.

  Returns:
    gflop and cpu_seconds, of one clip; with the suffix `_per_frame`, of a frame
    over a frame of latents.
  """
  pixels, latents = table["pixels"], table["latents"]
  found = {
    name: pixels[name] / latents[name] for name in ("gflop", "cpu_seconds")
  }
  frames = ROWS["latents"].shape[0] / ROWS["pixels"].shape[0]
  return found | {
    f"{name}_per_frame": value * frames for name, value in found.items()
  }


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  return rows.define_flags(ROWS, repeats=3)


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, ROWS, {"repeats": 1})
  table = rows.measured(
    chosen, lambda row: measure(row, repeats=values.repeats)
  )
  more = {}
  if {"pixels", "latents"} <= set(table):
    more["pixels_over_latents"] = ratios(table)
    print("pixels over latents")
    for name, value in more["pixels_over_latents"].items():
      print(f"  {name:<32}{value:>12.4g}")
  rows.write(
    values,
    table,
    shapes={name: row.shape for name, row in chosen.items()},
    **more,
  )
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

"""Speed of 3x3 convolutions and of their gradients: Winograd's form and XLA's.

  python -m benchmarks.convolutions [--rows=6x32x128] [--repeats=7] \\
      [--out=FILE.json]

A row is a batch of square maps, BATCHxSIDExCHANNELS, with as many output as
input channels. GFLOP/s are those of the plain form, 2 multiplications and
additions for each of 9 places, whatever the form takes. The best of --repeats
calls counts, float32, without a cache of programs on disk.
"""

import functools
import sys
from collections.abc import Callable, Sequence

import jax
from absl import flags

from benchmarks import rows, timing
from pseudovideo.models import convolution, winograd
from pseudovideo.terminal import command_line

Row = tuple[int, int, int]
"""Batch, side and channels."""

ROWS: dict[str, Row] = {
  "x".join(map(str, row)): row
  for row in (
    *((6, 32, 128), (6, 16, 256), (6, 8, 256), (6, 4, 256)),
    *((4, 32, 32), (4, 16, 64), (32, 16, 64), (17, 64, 128)),
  )
}
FORMS: dict[str, tuple[Callable[..., jax.Array], Callable[..., jax.Array]]] = {
  "forward": (convolution.plain_conv3x3, winograd.convolve),
  "input_gradient": (
    convolution.plain_input_gradient,
    winograd.input_gradient,
  ),
  "weight_gradient": (
    convolution.plain_weight_gradient,
    winograd.weight_gradient,
  ),
}


def measure(row: Row, repeats: int) -> rows.Found:
  """Times the forms of a row.

  Returns:
    {forward,input_gradient,weight_gradient}_{plain,winograd}, GFLOP/s, and
    taken, 1 where the networks take Winograd's form at this size.
  """
  batch, side, channels = row
  key = jax.random.key(0)
  x = jax.random.normal(key, (batch, side, side, channels))
  kernel = jax.random.normal(key, (3, 3, channels, channels))
  gflop = 2e-9 * x[..., 0].size * kernel.size
  found = {}
  for name, forms in FORMS.items():
    given = (x, x) if name == "weight_gradient" else (x, kernel)
    for kind, form in zip(("plain", "winograd"), forms, strict=True):
      call, _ = timing.program(form, given)
      run = functools.partial(call, *given)
      best = min(timing.seconds(run, repeats))
      found[f"{name}_{kind}"] = gflop / best
  found["taken"] = float(convolution.is_large(x.shape, kernel.shape))
  return found


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  return rows.define_flags(ROWS, repeats=7)


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, ROWS, {"repeats": 1})
  found = rows.measured(chosen, lambda row: measure(row, values.repeats))
  rows.write(values, found)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

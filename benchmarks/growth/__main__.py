"""How time and memory of every system grow with what it is given.

  python -m benchmarks.growth [--rows=heat_hvae,video_tokenizer] \\
      [--axes=frames,side,batch,tokens] [--repeats=3] [--out=FILE.json] \\
      [--figure=FILE.svg]

  row              programs              axes
  heat_hvae        update, sample        frames, side, batch
  learned_hvae     update, sample        frames, side, batch
  video_diffusion  update, sample        frames, side, batch
  video_tokenizer  update, encode        frames, side, batch
  next_token       update, sample        tokens, batch
  masked_token     update, sample        tokens, batch
  video_vae        update, reconstruct   frames, side, batch

The networks are narrow, in float32, with all parts of the small ones, and
without discriminator. Frames are 2, 4, 8 and 18, of IV-VAE 3, 5, 9 and 17, and
of an HVAE its levels; sides are 8 to 64, batches 1 to 16, tokens 64 to 1024, in
grids of 8x8. While one number grows the others stay: 4 (IV-VAE: 5) frames, side
16, batch 4, 64 tokens. The update is training's, pseudo videos included; all
examples of IV-VAE are clips. Priors draw ids; diffusion takes 2 steps in each
stage.

An exponent is the slope of log(cost) over log(size) between the two largest
sizes, or over all by least squares. Seconds, the least processor seconds of a
call, are compared with the operations in the program as it is written: those of
products, and for each other number as many as a CPU does in the time that it
takes, 32; the body of a loop counts as often as it runs. The operations, and
memory, what XLA plans for temporary arrays, are compared with the powers that
the mathematics has: 1 for frames, batch and tokens, 2 for the side, twice that
for attention. What grows faster is named in the last column; seconds are not
faster where they grow with no more than the power without attention.

Processor seconds are of all cores together, so one core tells most:
`taskset -c 1`. Programs are compiled without a cache on disk.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmarks import rows
from benchmarks.growth import exponents, figure, points, systems
from pseudovideo import errors
from pseudovideo.devices import heap
from pseudovideo.files import writable
from pseudovideo.terminal import command_line

AXES = tuple(systems.POWERS)
_STRINGS = {
  "axes": (",".join(AXES), "Let these grow, commas between."),
  "figure": (None, "Write a figure to this SVG file."),
}


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = rows.define_flags(tuple(systems.SYSTEMS), repeats=3)
  for name, (default, meaning) in _STRINGS.items():
    flags.DEFINE_string(name, default, meaning, flag_values=values)
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def _axes(text: str) -> list[str]:
  """The value of --axes."""
  for name in text.split(","):
    errors.look_up("--axes", name, dict.fromkeys(AXES))
  return text.split(",")


def measure(
  system: systems.System, axes: Sequence[str], *, repeats: int
) -> dict[str, dict[str, exponents.Points]]:
  """Measures a system along those of the axes that it has; prints all points.

  Returns:
    Program -> axis -> size -> fields of `points.measure`.
  """
  found: dict[str, Any] = {"update": {}, system.second: {}}
  known: dict[systems.Size, dict[str, rows.Found]] = {}
  for axis in axes:
    for number in system.axes.get(axis, ()):
      size = system.base._replace(**{axis: number})
      if size not in known:
        known[size] = _measure_at(system, size, repeats)
      for program, point in known[size].items():
        found[program].setdefault(axis, {})[str(number)] = point
        show(f"{program}, {axis} {number}", point)
  return found


def _measure_at(system, size, repeats) -> dict[str, rows.Found]:
  return {
    name: points.measure(program, repeats=repeats)
    for name, program in systems.programs(system, size).items()
  }


def show(label: str, point: rows.Found) -> None:
  """Prints a point in one line."""
  shown = ("least_cpu_seconds", "gflop", "temporary_mb", "compile_seconds")
  numbers = "".join(f"{point[name]:>12.4g}" for name in shown)
  print(f"  {label:<28}{numbers}", flush=True)


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes files if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, systems.SYSTEMS, {"repeats": 1})
  axes = _axes(values.axes)
  for name, system in chosen.items():
    if not {*axes} & {*system.axes}:
      raise errors.UserError(
        f"{name} has none of the --axes {', '.join(axes)}; it has "
        f"{', '.join(system.axes)}."
      )
  if values.figure:
    writable.check(values.figure)
  heap.keep_freed_memory()  # As all commands do.
  found = {}
  print(f"  {'':<28}{'CPU-s':>12}{'GFLOP':>12}{'MB':>12}{'compile, s':>12}")
  for name, system in chosen.items():
    print(name)
    found[name] = measure(system, axes, repeats=values.repeats)
  print_table(found)
  rows.write(values, found)
  if values.figure:
    pathlib.Path(values.figure).write_text(figure.draw(found))
  return 0


def print_table(found: dict[str, Any]) -> None:
  """Prints the exponents and verdicts of all that was measured."""
  lines = [list(exponents.HEADER), *exponents.table(found)]
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  for line in lines:
    cells = (f"{x:<{n}}" for x, n in zip(line, widths, strict=True))
    print("  ".join(cells).rstrip())


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

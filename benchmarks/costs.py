"""Costs of a run of the preset `paper`: arithmetic, and hours by a rule.

  python -m benchmarks.costs [--rows=diffusion_4_cifar10] [--out=FILE.json]

FLOPs are counted in the traced update, gradient included: two for every
multiplication of a matrix product or a convolution, the body of a loop as often
as it runs. Everything else is left out. Nothing is run or allocated.

The rule: hours are updates times FLOPs, divided by `SUSTAINED` FLOP/s, of one
accelerator. Data, logs, evaluations and a first stage come on top.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend import core

from benchmarks import fits, rows, traced
from pseudovideo.config import parsing
from pseudovideo.terminal import command_line

SUSTAINED = 4e13
"""FLOP/s of an H100 in such networks, float32 with TF32 products: our guess. An
H200 sustained 6.3e13 in results/hvae_cifar10/heat_sigma_h_0.1.json."""


def flops(jaxpr: core.Jaxpr) -> float:
  """The FLOPs of the matrix products and convolutions in a program."""
  return sum(map(_of_equation, jaxpr.eqns))


def _of_equation(equation: Any) -> float:
  params, name = equation.params, equation.primitive.name
  if name == "dot_general":
    (contracted, _), _ = params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    depth = math.prod(shape[axis] for axis in contracted)
    return 2.0 * depth * math.prod(equation.outvars[0].aval.shape)
  if name == "conv_general_dilated":
    return _of_convolution(equation)
  inner = [flops(jaxpr) for jaxpr in inside(params)]
  if name == "cond":
    return max(inner)
  return params.get("length", 1) * sum(inner)


def _of_convolution(equation: Any) -> float:
  """The FLOPs of a convolution; zeros between strided inputs do not count."""
  kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
  params = equation.params
  taps = math.prod(kernel) / kernel[params["dimension_numbers"].rhs_spec[0]]
  skipped = math.prod(params["lhs_dilation"]) * params["batch_group_count"]
  return 2.0 * math.prod(out) * taps / skipped


def inside(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
  """The programs in the parameters of an equation."""
  for value in params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if isinstance(item, core.ClosedJaxpr):
        yield item.jaxpr
      elif isinstance(item, core.Jaxpr):
        yield item


def of_update(run: traced.Training) -> float:
  """The FLOPs of an update, or of one of its accumulated parts."""
  batch = traced.batch(run.task, run.batch_size)
  program = jax.make_jaxpr(run.step)(run.state, batch, traced.key_shape())
  return flops(program.jaxpr)


def measure(row: fits.Row) -> rows.Found:
  """The cost of a row.

  Returns:
    parameters, batch, updates, gflop per update, and hours by the rule.
  """
  config = parsing.parse(row.file.get_config(fits.with_preset(row.argument)))
  run = fits.training(row, remat=False)
  parts = config.train.batch_size // run.batch_size
  each = parts * of_update(run)
  params = jax.tree.leaves(run.state.params)
  return {
    "parameters": sum(math.prod(x.shape) for x in params),
    "batch": config.train.batch_size,
    "updates": config.train.steps,
    "gflop": each / 1e9,
    "hours": config.train.steps * each / SUSTAINED / 3600,
  }


def define_flags():
  """Defines the flags of the command."""
  return rows.define_flags(tuple(fits.ROWS), repeats=None)


def run(argv: Sequence[str]) -> int:
  """Counts, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, fits.ROWS, {})
  found = rows.measured(chosen, measure)
  rows.write(values, found, sustained_flops=SUSTAINED)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

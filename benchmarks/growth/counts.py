"""Counts of the numbers that a program makes, before XLA changes it."""

from typing import Any

from jax.extend import core

from benchmarks import costs

_PRODUCTS = ("dot_general", "conv_general_dilated")


def numbers(jaxpr: core.Jaxpr) -> float:
  """How many numbers are made other than by products.

  The body of a loop counts as often as it runs; of branches the largest.
  """
  return float(sum(map(_of_equation, jaxpr.eqns)))


def _of_equation(equation: Any) -> float:
  inner = [numbers(jaxpr) for jaxpr in costs.inside(equation.params)]
  if not inner:
    return _made(equation)
  if equation.primitive.name == "cond":
    return max(inner)
  return equation.params.get("length", 1) * sum(inner)


def _made(equation: Any) -> float:
  if equation.primitive.name in _PRODUCTS:
    return 0.0
  return float(sum(v.aval.size for v in equation.outvars))

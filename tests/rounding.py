"""How far two float32 computations of the same numbers may lie apart."""

import math

EPS = 2.0**-23


def bound(roundings: int, size: float = 1.0) -> float:
  """The absolute tolerance for two programs, or for one and float64.

  The model: every rounding errs by up to half a spacing, so with a standard
  deviation of EPS / sqrt(12) of the number, and in two programs independently.
  Those of all `roundings` that lie between an input and a result, one for each
  summand and factor on the way, add like their squares. The bound is ten
  standard deviations.

  Args:
    roundings: on the way to one result; of a layer, as many as it has inputs.
    size: of the largest number on the way, times whatever later steps multiply
      its error by.
  """
  return 10 * EPS * math.sqrt(roundings / 6) * size

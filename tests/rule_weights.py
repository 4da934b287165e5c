"""Weights of published networks' sizes, made by a rule from names alone.

Whoever follows the rule, in whatever language, has the same numbers; so what
networks make of them can be compared without the published files. The number
at position i of an array is the output of splitmix64 (Steele et al. 2014) for
the state (crc32 of the array's name) * 2^32 + i, scaled to its purpose.
"""

import math
import zlib

import numpy as np


def uniform(name, shape):
  """float64 in [0, 1), by position in C order."""
  z = np.arange(math.prod(shape), dtype=np.uint64)
  z += np.uint64(zlib.crc32(name.encode()) << 32)
  z += np.uint64(0x9E3779B97F4A7C15)
  for shift, factor in [(30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)]:
    z ^= z >> np.uint64(shift)
    z *= np.uint64(factor)
  z ^= z >> np.uint64(31)
  return ((z >> np.uint64(11)) / 2.0**53).reshape(shape)


def _centred(size):
  return lambda u, shape: size * (2 * u - 1)


def _inputs(gain):
  """Variance gain / number of inputs, of which the shape has all but one."""
  return lambda u, shape: (
    (2 * u - 1) * math.sqrt(3) * math.sqrt(gain / math.prod(shape[1:]))
  )


KINDS = {
  "conv": _inputs(2.0),
  "linear": _inputs(1.0),
  "bias": _centred(0.2),
  "scale": lambda u, shape: 0.75 + 0.5 * u,
  "mean": _centred(0.1),
  "var": lambda u, shape: 0.5 + u,
}


def rule(name, shape, kind):
  """The float32 array of that name.

  Args:
    name: in the PyTorch state dict.
    shape: in PyTorch's layout.
    kind: one of `KINDS`.
  """
  return KINDS[kind](uniform(name, shape), shape).astype(np.float32)

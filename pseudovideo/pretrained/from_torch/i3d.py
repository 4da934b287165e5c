"""Converts I3D's PyTorch state dict to variables of `networks.i3d.I3D`.

The two have the same modules; only the last part of a name and the order of
the axes differ, see `names`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from pseudovideo.pretrained.from_torch import names
from pseudovideo.pretrained.networks import i3d


def to_flax(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Variables of `I3D` from its state dict.

  Args:
    state_dict: arrays by name, such as `Mixed_3b.b1a.conv3d.weight`.

  Returns:
    Nested dicts of float32 arrays, `params` and `batch_stats`.

  Raises:
    UserError: a name is missing or too many, or an array has another shape or
      no floating-point numbers.
  """
  shapes = _shapes()
  theirs = {path: names.of(path) for path in shapes}
  counters = names.counters(shapes)
  names.check(
    "I3D for 400 classes",
    {name: a for name, a in state_dict.items() if name not in counters},
    {theirs[path]: _their_shape(shape) for path, shape in shapes.items()},
  )
  variables = {}
  for path, name in theirs.items():
    array = np.asarray(state_dict[name])
    if array.ndim == 5:
      array = array.transpose(2, 3, 4, 1, 0)
    variables[path] = np.array(array, np.float32, order="C")
  return traverse_util.unflatten_dict(variables)


@functools.cache
def _shapes() -> dict[names.Path, tuple[int, ...]]:
  return names.shapes(i3d.I3D(), (1, i3d.FEWEST_FRAMES, i3d.SIDE, i3d.SIDE, 3))


def _their_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
  """(T, H, W, in, out) -> (out, in, T, H, W); others are equal."""
  if len(shape) != 5:
    return shape
  return (shape[4], shape[3], *shape[:3])

"""Converts Inception-v3's PyTorch state dict to Flax variables, and back.

The two have the same modules; only the last part of a name and the order of
the axes differ, see `names`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from pseudovideo.files import layouts
from pseudovideo.pretrained.from_torch import names
from pseudovideo.pretrained.networks import inception


def to_flax(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Variables of `inception.InceptionV3` from its state dict.

  Args:
    state_dict: arrays by name, such as `Mixed_5b.branch1x1.conv.weight`.

  Returns:
    Nested dicts of float32 arrays, `params` and `batch_stats`.

  Raises:
    UserError: a name is missing or too many, or an array has another shape or
      no floating-point numbers.
  """
  counters = names.counters(_shapes())
  names.check(
    "the FID's Inception-v3",
    {name: a for name, a in state_dict.items() if name not in counters},
    {names.of(path): _their_shape(path) for path in _shapes()},
    advice="give the weights of 2015-12-05, not torchvision's",
  )
  variables = {}
  for path in _shapes():
    array = _layout(path).weight(np.asarray(state_dict[names.of(path)]))
    variables[path] = np.array(array, np.float32, order="C")
  return traverse_util.unflatten_dict(variables)


def to_torch(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """The state dict, with counters at zero, of `InceptionV3`'s variables.

  Args:
    variables: nested dicts of arrays, such as `to_flax` returns.

  Returns:
    {name: array}: float32, and int64 counters.

  Raises:
    ValueError: the variables belong to another network.
  """
  given = traverse_util.flatten_dict(dict(variables))
  if {path: np.shape(array) for path, array in given.items()} != _shapes():
    raise ValueError("The variables do not belong to InceptionV3.")
  state_dict = {
    name: np.zeros((), np.int64) for name in names.counters(_shapes())
  }
  for path, array in given.items():
    array = _layout(path).weight_back(np.asarray(array))
    state_dict[names.of(path)] = np.array(array, np.float32, order="C")
  return state_dict


@functools.cache
def _shapes() -> dict[names.Path, tuple[int, ...]]:
  side = inception.SIDE
  return names.shapes(inception.InceptionV3(), (1, side, side, 3))


def _their_shape(path: names.Path) -> tuple[int, ...]:
  nothing = np.broadcast_to(np.float32(0), _shapes()[path])
  return _layout(path).weight_back(nothing).shape


def _layout(path: names.Path) -> layouts.Layout:
  if path[-1] != "kernel":
    return layouts.NORM
  return layouts.CONV if "conv" in path else layouts.LINEAR

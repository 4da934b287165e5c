"""Converts Inception-v3's PyTorch state dict to Flax variables, and back.

The two have the same modules; only the last part of a name and the order of
the axes differ, see `names`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from pseudovideo import errors
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
  ours = {names.of(path): path for path in _shapes()}
  counters = names.counters(_shapes())
  for name in ours:
    if name not in state_dict:
      raise _error(f"it has no {name!r}")
  variables = {}
  for name, array in state_dict.items():
    if name in counters:
      continue
    if name not in ours:
      raise _error(f"it has {name!r} besides")
    path, array = ours[name], np.asarray(array)
    expected = _their_shape(path)
    if array.shape != expected:
      raise _error(f"{name!r} has the shape {array.shape}, not {expected}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise _error(f"{name!r} is of type {array.dtype}, not floating-point")
    array = _layout(path).weight(array)
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
  """Shapes of the variables, without computing them."""
  images = jnp.zeros((1, inception.SIDE, inception.SIDE, 3))
  init = inception.InceptionV3().init
  tree = jax.eval_shape(init, jax.random.key(0), images)
  flat = traverse_util.flatten_dict(tree)
  return {path: leaf.shape for path, leaf in flat.items()}


def _their_shape(path: names.Path) -> tuple[int, ...]:
  nothing = np.broadcast_to(np.float32(0), _shapes()[path])
  return _layout(path).weight_back(nothing).shape


def _layout(path: names.Path) -> layouts.Layout:
  if path[-1] != "kernel":
    return layouts.NORM
  return layouts.CONV if "conv" in path else layouts.LINEAR


def _error(what: str) -> errors.UserError:
  return errors.UserError(
    f"The state dict does not fit the FID's Inception-v3: {what}; give the "
    "weights of 2015-12-05, not torchvision's."
  )

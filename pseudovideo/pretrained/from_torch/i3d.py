"""The state dict of I3D in PyTorch to the variables of `networks.i3d.I3D`.

The two have the same modules; only the last part of a name and the order of
the axes differ. PyTorch counts the batches that its statistics have seen; the
counters mean nothing in inference and may be there or not.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from pseudovideo.pretrained.from_torch import backbones
from pseudovideo.pretrained.networks import i3d

_Path = tuple[str, ...]

_NAMES = {
  "kernel": "weight",
  "scale": "weight",
  "bias": "bias",
  "mean": "running_mean",
  "var": "running_var",
}


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
  theirs = {path: _their_name(path) for path in shapes}
  backbones.check(
    "I3D for 400 classes",
    {name: a for name, a in state_dict.items() if name not in _counters()},
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
def _shapes() -> dict[_Path, tuple[int, ...]]:
  """Shapes of the variables, without computing them."""
  videos = jnp.zeros((1, i3d.FEWEST_FRAMES, i3d.SIDE, i3d.SIDE, 3))
  tree = jax.eval_shape(i3d.I3D().init, jax.random.key(0), videos)
  flat = traverse_util.flatten_dict(tree)
  return {path: leaf.shape for path, leaf in flat.items()}


@functools.cache
def _counters() -> frozenset[str]:
  return frozenset(
    ".".join((*path[1:-1], "num_batches_tracked"))
    for path in _shapes()
    if "bn" in path
  )


def _their_name(path: _Path) -> str:
  """Without the collection that the variable is in."""
  return ".".join((*path[1:-1], _NAMES[path[-1]]))


def _their_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
  """(T, H, W, in, out) -> (out, in, T, H, W); others are equal."""
  if len(shape) != 5:
    return shape
  return (shape[4], shape[3], *shape[:3])

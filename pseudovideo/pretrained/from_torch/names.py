"""State dicts of PyTorch beside the variables of a network here.

`of` and `counters` are for networks with the same modules, where only the last
part of a name differs. PyTorch counts the batches that its statistics have
seen; the counters mean nothing in inference and may be there or not.
"""

from collections.abc import Iterable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from pseudovideo import errors
from pseudovideo.files import layouts

Path = tuple[str, ...]
Shapes = dict[str, tuple[int, ...]]

_LAST = {
  "kernel": "weight",
  "scale": "weight",
  "bias": "bias",
  "mean": "running_mean",
  "var": "running_var",
}


def of(path: Path) -> str:
  """The name of a variable, without the collection that it is in."""
  return ".".join((*path[1:-1], _LAST[path[-1]]))


def counters(paths: Iterable[Path]) -> frozenset[str]:
  """The names of the counters beside the statistics among variables."""
  return frozenset(
    ".".join((*path[1:-1], "num_batches_tracked"))
    for path in paths
    if "bn" in path
  )


def shapes(
  net: nn.Module, input_shape: tuple[int, ...]
) -> dict[Path, tuple[int, ...]]:
  """The shapes of a network's variables, without computing them.

  Args:
    net: the network.
    input_shape: shape of what it is called with.
  """
  images = jax.ShapeDtypeStruct(input_shape, jnp.float32)
  tree = jax.eval_shape(net.init, jax.random.key(0), images)
  flat = traverse_util.flatten_dict(tree)
  return {path: leaf.shape for path, leaf in flat.items()}


def check(
  title: str,
  state_dict: Mapping[str, np.ndarray],
  expected: Shapes,
  advice: str = "give the published file",
) -> None:
  """Refuses arrays that are not exactly a published network's.

  Args:
    title: name of the network, for people.
    state_dict: arrays by name.
    expected: the shape of every array, by name.
    advice: what the user should do instead.

  Raises:
    UserError: a name is missing or too many, or an array has another shape or
      no floating-point numbers.
  """

  def error(what: str) -> errors.UserError:
    return errors.UserError(
      f"The state dict does not fit {title}: {what}; {advice}."
    )

  if differences := layouts.name_differences(state_dict, expected):
    raise error(differences)
  for name, shape in expected.items():
    array = np.asarray(state_dict[name])
    if array.shape != shape:
      raise error(f"{name!r} has the shape {array.shape}, not {shape}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise error(f"{name!r} is of type {array.dtype}, not floating-point")

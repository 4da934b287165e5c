"""Weights of networks whose speed is measured: any will do, quickly made."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def random(init: Callable[..., Any], *arguments: Any) -> Any:
  """Random values for all that `init` returns, without compiling it.

  Kernels are drawn from N(0, 1 / fan_in), scales are 1, all else 0; float32.
  """
  rng = np.random.default_rng(0)

  def drawn(path, leaf):
    name = path[-1].key
    if name == "kernel":
      value = rng.standard_normal(leaf.shape, np.float32)
      return value / np.float32(np.prod(leaf.shape[:-1])) ** 0.5
    return np.full(leaf.shape, float(name == "scale"), np.float32)

  shapes = jax.eval_shape(init, *arguments)
  return jax.device_put(jax.tree_util.tree_map_with_path(drawn, shapes))

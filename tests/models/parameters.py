"""Parameters for tests, drawn without compiling what initialises a network."""

import jax
import jax.numpy as jnp
import numpy as np


def drawn(init, *arguments, seed=1, **options):
  """Draws parameters of the shapes of `init(...)`, so that all of them matter.

  Kernels keep the size of what they are applied to; the others are away from
  zeros and ones.
  """
  rng = np.random.default_rng(seed)
  arguments, options = jax.tree.map(_traced, (arguments, options))
  shapes = jax.eval_shape(
    lambda key: init(key, *arguments, **options), jax.random.key(0)
  )

  def draw(path, leaf):
    name = path[-1].key
    noise = rng.normal(size=leaf.shape).astype(np.float32)
    if name == "kernel":
      return noise / np.float32(np.sqrt(np.prod(leaf.shape[:-1])))
    return np.float32(0.3) * noise + name.endswith(("scale", "gain"))

  return jax.tree_util.tree_map_with_path(draw, shapes["params"])


def _traced(value):
  """An array of numpy as one of JAX, as networks take them."""
  return jnp.asarray(value) if isinstance(value, np.ndarray) else value

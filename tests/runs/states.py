"""States of training with every kind of leaf."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

CONFIG = {"lr": 0.1, "model": {"name": "unet", "widths": [8, 16]}, "tag": None}
TX = optax.adamw(optax.linear_schedule(0.0, 1e-3, 5))


def make_state(seed: int = 0) -> dict:
  """A state with every kind of leaf; all bits depend on the seed."""
  rng = np.random.default_rng(seed)
  params = {
    "dense": {"kernel": rng.normal(size=(8, 6)), "bias": rng.normal(size=6)}
  }
  params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
  opt_state = TX.update(params, TX.init(params), params)[1]
  opt_state = jax.tree.map(lambda x: x + seed if x.ndim == 0 else x, opt_state)
  return {
    "step": jnp.int32(seed),
    "params": params,
    "ema": jax.tree.map(lambda x: x.astype(jnp.bfloat16), params),
    "opt_state": opt_state,
    "extra": {
      "key": jax.random.key(seed),
      "rbg": jax.random.split(jax.random.key(seed, impl="rbg"), 2),
      "mask": rng.random(5) < 0.5,
      "half": rng.normal(size=3).astype(np.float16),
      "empty": np.zeros((0, 3), np.float32),
      "nothing": {},
    },
  }


def bits(tree: dict) -> list:
  def data(x):
    keys = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    array = np.asarray(jax.random.key_data(x) if keys else x)
    return str(x.dtype), x.shape, array.tobytes()

  leaves, structure = jax.tree.flatten(tree)
  return [structure, *map(data, leaves)]

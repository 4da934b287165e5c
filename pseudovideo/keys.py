"""Random keys, one per example.

Every random number of this package is drawn from a key that belongs to one
example, so that example i depends on (key, i) only: not on the batch size, on
the number of devices, or on how a batch is cut into micro-batches.

Wherever a function takes `key` together with a batch of B examples it accepts
either one scalar key, from which the B keys are derived, or the (B,) array of
keys itself. It calls `example_keys` first and derives with `named` and
`numbered` from the result: the order matters.
"""

import math
import zlib

import jax
import jax.numpy as jnp


def example_keys(key: jax.Array, num: int, start: int = 0) -> jax.Array:
  """The keys of examples `start` .. `start + num - 1`.

  Args:
    key: a scalar typed key, or a (num,) array of keys, returned unchanged.
    num: number of examples.
    start: index of the first one (only with a scalar key).

  Returns:
    (num,) typed keys; entry i is `fold_in(key, start + i)`.

  Raises:
    ValueError: an array of keys whose length is not `num`.
  """
  if key.ndim == 0:
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(
      start + jnp.arange(num, dtype=jnp.uint32)
    )
  if key.shape != (num,):
    raise ValueError(
      f"Keys of shape {key.shape} were given for {num} examples; pass one "
      f"scalar key or {num} keys."
    )
  return key


def named(key: jax.Array, name: str) -> jax.Array:
  """Independent key(s) for the purpose `name`; same shape as `key`."""
  data = jnp.uint32(zlib.crc32(name.encode()))
  if key.ndim == 0:
    return jax.random.fold_in(key, data)
  return jax.vmap(lambda k: jax.random.fold_in(k, data))(key)


def numbered(key: jax.Array, number: jax.Array | int) -> jax.Array:
  """Independent key(s) for step or level `number`; same shape as `key`."""
  if key.ndim == 0:
    return jax.random.fold_in(key, number)
  return jax.vmap(lambda k: jax.random.fold_in(k, number))(key)


def normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Standard normal float32 of shape (B, ...), row i drawn from key i."""
  return _rows(jax.random.normal, key, shape)


def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Uniform float32 on [0, 1) of shape (B, ...), row i drawn from key i."""
  return _rows(jax.random.uniform, key, shape)


def _rows(draw, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """One flat draw per key: the same bits as a shaped one, faster on CPU."""
  rows = example_keys(key, shape[0])
  size = math.prod(shape[1:])
  return jax.vmap(lambda k: draw(k, (size,), jnp.float32))(rows).reshape(shape)


def integers(key: jax.Array, num: int, low: int, high: int) -> jax.Array:
  """(num,) int32 uniform on low .. high - 1, entry i drawn from key i."""
  rows = example_keys(key, num)
  return jax.vmap(lambda k: jax.random.randint(k, (), low, high))(rows)

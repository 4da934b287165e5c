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
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int, Int32, Key

Keys = Key[Array, ""] | Key[Array, " B"]
"""One typed key, or one for each of B examples."""


def example_keys(key: Keys, num: int, start: int = 0) -> Key[Array, " num"]:
  """The keys of examples `start` .. `start + num - 1`.

  Args:
    key: one key, or an array of `num` keys, returned unchanged.
    num: number of examples.
    start: index of the first one (only with one key).

  Returns:
    Keys; entry i is `fold_in(key, start + i)`.

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


def named(key: Keys, name: str) -> Keys:
  """Independent key(s) for the purpose `name`; same shape as `key`."""
  data = jnp.uint32(zlib.crc32(name.encode()))
  if key.ndim == 0:
    return jax.random.fold_in(key, data)
  return jax.vmap(lambda k: jax.random.fold_in(k, data))(key)


def numbered(key: Keys, number: Int[Array, ""] | int) -> Keys:
  """Independent key(s) for step or level `number`; same shape as `key`."""
  if key.ndim == 0:
    return jax.random.fold_in(key, number)
  return jax.vmap(lambda k: jax.random.fold_in(k, number))(key)


def normal(key: Keys, shape: tuple[int, ...]) -> Float32[Array, "B ..."]:
  """Standard normal numbers of shape (B, ...), row i drawn from key i."""
  return _rows(jax.random.normal, key, shape)


def uniform(key: Keys, shape: tuple[int, ...]) -> Float32[Array, "B ..."]:
  """Uniform numbers on [0, 1) of shape (B, ...), row i drawn from key i."""
  return _rows(jax.random.uniform, key, shape)


def _rows(
  draw: Callable[..., Array], key: Keys, shape: tuple[int, ...]
) -> Float32[Array, "B ..."]:
  """One flat draw per key: the same bits as a shaped one, faster on CPU."""
  rows = example_keys(key, shape[0])
  size = math.prod(shape[1:])
  return jax.vmap(lambda k: draw(k, (size,), jnp.float32))(rows).reshape(shape)


def integers(key: Keys, num: int, low: int, high: int) -> Int32[Array, " num"]:
  """Integers uniform on low .. high - 1, entry i drawn from key i."""
  rows = example_keys(key, num)
  return jax.vmap(lambda k: jax.random.randint(k, (), low, high))(rows)

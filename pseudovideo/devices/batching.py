"""Runs arrays of any length through a compiled function of one batch size."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from pseudovideo import keys
from pseudovideo.devices import sharding


def map_batches(
  function: Callable[..., Any],
  variables: tuple[Any, ...],
  examples: np.ndarray | Iterable[np.ndarray],
  *,
  batch_size: int,
  key: jax.Array | None = None,
) -> Iterator[tuple[slice, Any]]:
  """Applies a function to every example, a batch at a time over all devices.

  A batch that is not full is filled up with its own examples. While the results
  of one batch are fetched, the next is computed. Each process computes all
  batches, on its own devices.

  Args:
    function: (*variables, examples (B, ...)) -> a tree of (B, ...) arrays, rows
      independent of each other. With `key`, its last argument is the keys (B,).
      It is compiled once as long as it is the same function.
    variables: trees of arrays, the same for all batches.
    examples: (N, ...), in memory or memory-mapped, or blocks (n, ...) of it of
      any n. Batches do not cross the blocks.
    batch_size: examples per call; at most N, if N is known, and rounded up to a
      multiple of the number of devices.
    key: PRNG key, scalar; result i depends on example i and (key, i) only.

  Yields:
    The slice of the examples, and the tree of their results as numpy arrays.
  """
  mesh = sharding.make_mesh(jax.local_devices())
  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  if isinstance(examples, np.ndarray):
    batch_size, examples = min(batch_size, len(examples)), [examples]
  size = -(-batch_size // mesh.size) * mesh.size
  compiled = jax.jit(function, out_shardings=cut)
  variables = jax.device_put(variables, whole)
  start, ahead = 0, None
  for block in examples:
    for first in range(0, len(block), size):
      batch = np.asarray(block[first : first + size])
      rows = slice(start, start + len(batch))
      given: list[Any] = [batch[np.arange(size) % len(batch)]]
      if key is not None:
        given.append(keys.example_keys(key, size, start))
      results = compiled(*variables, *sharding.put(given, cut))
      if ahead:
        yield _fetched(*ahead)
      start, ahead = rows.stop, (rows, results)
  if ahead:
    yield _fetched(*ahead)


def _fetched(rows: slice, results: Any) -> tuple[slice, Any]:
  """The results on the host, without the rows that only fill the batch."""
  num = rows.stop - rows.start
  return rows, jax.tree.map(lambda x: x[:num], jax.device_get(results))

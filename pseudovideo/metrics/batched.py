"""Arrays of any length through a compiled function of one batch size."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from pseudovideo import sharding


def stream(
  function: Callable[[Any, jax.Array], Any],
  params: Any,
  blocks: Iterable[np.ndarray],
  batch_size: int,
) -> Iterator[Any]:
  """Outputs batch by batch, in order.

  A batch is cut over all devices of this process, the last one of a block is
  padded to the same size, and while one is fetched the next is computed.

  Args:
    function: jitted, of the parameters and a batch (B, ...) to a tree of
      arrays (B, ...), rows independent of each other.
    params: a tree of arrays.
    blocks: arrays (n, ...) of any n.
    batch_size: rounded up to a multiple of the number of devices.

  Yields:
    Trees of numpy arrays (b, ...), b at most the batch size.
  """
  mesh = sharding.make_mesh(jax.local_devices())
  batch_size = -(-batch_size // mesh.size) * mesh.size
  params = jax.device_put(params, sharding.replicated(mesh))
  pending = None
  for batch in _batches(blocks, batch_size):
    padded = np.zeros((batch_size, *batch.shape[1:]), batch.dtype)
    padded[: len(batch)] = batch
    placed = jax.device_put(padded, sharding.split_batch(mesh))
    ahead = function(params, placed), len(batch)
    if pending:
      yield _fetch(*pending)
    pending = ahead
  if pending:
    yield _fetch(*pending)


def _batches(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
  for block in blocks:
    for start in range(0, len(block), size):
      yield block[start : start + size]


def _fetch(outputs: Any, num: int) -> Any:
  """The rows that are no padding."""
  return jax.tree.map(lambda array: array[:num], jax.device_get(outputs))

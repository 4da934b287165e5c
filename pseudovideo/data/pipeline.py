"""Batches as a pure function of (seed, step).

Position p = step * batch_size + i counts the images ever drawn. Epoch
p // N is one permutation of the N images, made by a counter-based generator
from (seed, epoch); image p is entry p % N of it. So each image is used exactly
once per epoch, a batch may run over the end of an epoch, a run resumes from
its step number alone, and the order of images does not depend on the batch
size or on the number of processes.
"""

import collections
import concurrent.futures
import functools
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from pseudovideo import errors

Batch = dict[str, np.ndarray]

# Batches that are made before they are asked for.
AHEAD = 2


class Batches:
  """The training batches of a set; this process's rows of each."""

  def __init__(
    self,
    images: np.ndarray,
    labels: np.ndarray | None,
    *,
    batch_size: int,
    seed: int,
    name: str = "image",
    process_index: int = 0,
    process_count: int = 1,
  ):
    """Checks and keeps its arguments.

    Args:
      images: (N, H, W, C) uint8, in memory or memory-mapped; N >= 1. Or other
        examples that a task learns from, such as tokens.
      labels: (N,) integers or None.
      batch_size: images per step over all processes.
      seed: seed of the order, 0 .. 2^64 - 1.
      name: name of `images` in a batch.
      process_index: index of this process, whose rows of a batch are made.
      process_count: number of processes, which share the rows equally.

    Raises:
      UserError: the batch cannot be divided evenly, or there are no images.
    """
    if batch_size < 1 or batch_size % process_count:
      raise errors.UserError(
        f"The batch size {batch_size} cannot be divided among {process_count} "
        f"processes; choose a positive multiple of {process_count}."
      )
    if len(images) == 0:
      raise errors.UserError("There are no images to train on.")
    self._arrays = _named(images, labels, name)
    self._num, self._batch_size = len(images), batch_size
    rows = batch_size // process_count
    self._rows = np.arange(process_index * rows, (process_index + 1) * rows)
    self._permutation = functools.lru_cache(maxsize=2)(
      functools.partial(permutation, seed, len(images))
    )

  def batch(self, step: int) -> Batch:
    """Makes the rows of one step, b = batch_size / process_count of them.

    Returns:
      `image` (or `name`), (b, H, W, C) uint8; `index`, (b,) int32, their places
      in the set; and, if there are labels, `label`, (b,) int32.
    """
    positions = step * self._batch_size + self._rows
    epochs, entries = np.divmod(positions, self._num)
    index = np.empty_like(positions)
    for epoch in np.unique(epochs):
      here = epochs == epoch
      index[here] = self._permutation(int(epoch))[entries[here]]
    batch = {
      name: np.asarray(array[index]) for name, array in self._arrays.items()
    }
    return {**batch, "index": index.astype(np.int32)}


def permutation(seed: int, num: int, epoch: int) -> np.ndarray:
  """A permutation of 0 .. num - 1, (num,) integers.

  It is the order of raw Philox output, which NumPy guarantees never to change.
  """
  draws = np.random.Philox(key=[seed, epoch]).random_raw(num)
  return np.argsort(draws, kind="stable")


def _named(images: np.ndarray, labels: np.ndarray | None, name: str) -> Batch:
  """The arrays whose rows make batches."""
  arrays = {name: images}
  if labels is not None:
    arrays["label"] = np.asarray(labels, np.int32)
  return arrays


def prefetch(
  make: Callable[[int], Any], start: int, stop: int
) -> Generator[tuple[int, Any]]:
  """Makes the batches of steps in a background thread, two steps ahead.

  An exception of the thread is raised here; closing the generator ends the
  thread.

  Args:
    make: function of a step, called in the thread, such as one that also sends
      the batch to the devices.
    start: first step.
    stop: step after the last one.

  Yields:
    (step, make(step)), in order.
  """
  steps = iter(range(start, stop))
  pool = concurrent.futures.ThreadPoolExecutor(1, "prefetch")
  pending: collections.deque[tuple[int, concurrent.futures.Future]] = (
    collections.deque()
  )

  def submit() -> None:
    step = next(steps, None)
    if step is not None:
      pending.append((step, pool.submit(make, step)))

  try:
    for _ in range(AHEAD):
      submit()
    while pending:
      step, future = pending.popleft()
      batch = future.result()
      submit()
      yield step, batch
  finally:
    pool.shutdown(cancel_futures=True)


def held_out(
  images: np.ndarray,
  labels: np.ndarray | None,
  batch_size: int,
  name: str = "image",
) -> Iterator[Batch]:
  """Yields every image once, in order, in batches of one size.

  Args:
    images: (N, H, W, C) uint8, or other arrays, see `Batches`.
    labels: (N,) integers or None.
    batch_size: images per batch; the last batch is filled with copies of image
      0.
    name: name of `images` in a batch.

  Yields:
    `image` (or `name`); `label`, if there are labels; and `mask`, (batch_size,)
    float32, which is 0 for the copies.
  """
  arrays = _named(images, labels, name)
  for start in range(0, len(images), batch_size):
    index = np.arange(start, start + batch_size)
    inside = index < len(images)
    rows = np.where(inside, index, 0)
    batch = {name: np.asarray(array[rows]) for name, array in arrays.items()}
    yield batch | {
      "index": rows.astype(np.int32),
      "mask": inside.astype(np.float32),
    }

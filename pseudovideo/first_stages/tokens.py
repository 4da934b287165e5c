"""Images as the ids of a trained tokenizer, and what identifies it."""

from collections.abc import Callable
from typing import Any, Protocol

import flax
import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors, keys
from pseudovideo.data import cache
from pseudovideo.devices import batching
from pseudovideo.samplers import tokens
from pseudovideo.tasks import first_stage

BLOCK = 4096


Progress = Callable[[int], None]


class Coder(Protocol):
  """A trained tokenizer, such as a `runs.Run` of one.

  Attributes:
    task: a `video_tokenizer.VideoTokenizer`.
    params: its averaged weights.
    extra: its state.
  """

  @property
  def task(self) -> Any: ...

  @property
  def params(self) -> Any: ...

  @property
  def extra(self) -> Any: ...


def encode(
  coder: Coder,
  images: np.ndarray,
  *,
  batch_size: int,
  seed: int = 0,
  out: np.ndarray | None = None,
  progress: Progress = lambda done: None,
) -> np.ndarray:
  """Ids of images, `batch_size` at a time over all devices.

  Args:
    coder: trained tokenizer that encodes.
    images: (N, H, W, C) uint8, in memory or memory-mapped.
    batch_size: changes no id.
    seed: seed of pseudo videos that have random numbers, which depend on an
      image's place too.
    out: (N, t, h, w) integers to be filled; by default a new int32 array.
    progress: called with the number of images done.

  Returns:
    `out`.

  Raises:
    RunError: the tokenizer's latents of an image are not finite.
  """
  if out is None:
    out = np.empty((len(images), *coder.task.grid_shape), np.int32)
  for rows, ids in batching.map_batches(
    lambda params, extra, batch, key: coder.task.encode(
      params, extra, batch, key=key
    ),
    (coder.params, coder.extra),
    images,
    key=keys.named(jax.random.key(seed), "encode"),
    batch_size=batch_size,
  ):
    bad = np.flatnonzero((ids == tokens.NO_TOKEN).any((1, 2, 3)))
    if bad.size:
      raise errors.RunError(
        f"The tokenizer has no codes for image {rows.start + bad[0]}: its "
        "latents are not finite. Train it with a lower optimizer.learning_rate."
      )
    out[rows] = ids
    progress(rows.stop)
  return out


def usage(ids: np.ndarray, codes: int) -> dict[str, Any]:
  """Measures how much of a codebook of `codes` entries is used.

  Returns:
    `codes`; `codes_used`, how many occur at all; `perplexity`, the exponential
    of the entropy (nats) of their frequencies, from 1 to `codes`; `tokens`, how
    many there are for one image.
  """
  # In blocks, because `bincount` makes every id 8 bytes wide.
  counts = np.zeros(codes, np.int64)
  for start in range(0, len(ids), BLOCK):
    block = ids[start : start + BLOCK]
    counts += np.bincount(block.reshape(-1), minlength=codes)
  frequency = counts[counts > 0] / counts.sum()
  entropy = -np.sum(frequency * np.log(frequency))
  return {
    "codes": codes,
    "codes_used": int((counts > 0).sum()),
    "perplexity": float(np.exp(entropy)),
    "tokens": int(np.prod(ids.shape[1:])),
  }


def codebook(coder: Coder) -> np.ndarray:
  """The vectors of all codes of a tokenizer, (K, D) float32."""
  ids = jnp.arange(coder.task.num_codes)
  vectors = jax.jit(coder.task.vectors)(coder.params, coder.extra, ids)
  return np.asarray(vectors, np.float32)


def tokenizer_hash(coder: Coder) -> str:
  """SHA-256 (hexadecimal) of all that encodes and decodes.

  That is the network, the quantizer's parameters and the codebook, under the
  averaged weights; the discriminator is no part of it.
  """
  found = {
    name: coder.params[name]
    for name in first_stage.TOKENIZER.params
    if name in coder.params
  }
  arrays = flax.traverse_util.flatten_dict(jax.device_get(found), sep="/")
  return cache.fingerprint({**arrays, "codebook": codebook(coder)})

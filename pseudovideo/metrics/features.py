"""Networks that metrics look through, and what they see of a set of images."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import flax
import jax
import numpy as np

from pseudovideo import sharding

Forward = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureNetwork:
  """A network from images to features and logits, and what to say about it.

  Attributes:
    name: such as `inception` or `digitscls`; scores are named after it.
    weights_hash: SHA-256 (hexadecimal) of the weights.
    feature_dim: D.
    num_classes: K.
    image_shape: (H, W, C) of the images that it takes; None: of any size, and
      with one or three channels.
    forward: pure function of the parameters and uint8 images (B, H, W, C) to
      features (B, D) and logits (B, K), float32. Functions that compare equal
      are compiled once.
    params: its parameters.
    facts: what else a score must quote.
    binarize: how its training data were binarized, one of `pixels.BINARIZE`.
  """

  name: str
  weights_hash: str
  feature_dim: int
  num_classes: int
  image_shape: tuple[int, int, int] | None
  forward: Forward
  params: Any
  facts: Mapping[str, Any]
  binarize: str = "none"

  def __call__(
    self, images: np.ndarray, batch_size: int = 0
  ) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits of images in memory.

    Args:
      images: (N, H, W, C) uint8.
      batch_size: see `stream`.

    Returns:
      Features (N, D) and logits (N, K), float32.

    Raises:
      ValueError: images of another type or size.
    """
    features = np.empty((len(images), self.feature_dim), np.float32)
    logits = np.empty((len(images), self.num_classes), np.float32)
    done = 0
    for one, two in self.stream([images], batch_size):
      features[done : done + len(one)] = one
      logits[done : done + len(two)] = two
      done += len(one)
    return features, logits

  def stream(
    self, blocks: Iterable[np.ndarray], batch_size: int = 0
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features and logits batch by batch, in order.

    A batch is cut over all devices of this process, the last one of a block
    is padded to the same size, and while one is fetched the next is computed.

    Args:
      blocks: arrays (n, H, W, C) uint8 of any n.
      batch_size: images per call of the network, rounded up to a multiple of
        the number of devices; 0: `default_batch_size`.

    Yields:
      Features (b, D) and logits (b, K), float32, b at most the batch size.

    Raises:
      ValueError: images of another type or size.
    """
    mesh = sharding.make_mesh(jax.local_devices())
    batch_size = batch_size or default_batch_size(self.image_shape)
    batch_size = -(-batch_size // mesh.size) * mesh.size
    params = jax.device_put(self.params, sharding.replicated(mesh))
    pending = None
    for images in _batches(blocks, batch_size):
      self._check(images)
      padded = np.zeros((batch_size, *images.shape[1:]), np.uint8)
      padded[: len(images)] = images
      placed = jax.device_put(padded, sharding.split_batch(mesh))
      ahead = _forward(params, placed, forward=self.forward), len(images)
      if pending:
        yield _fetch(*pending)
      pending = ahead
    if pending:
      yield _fetch(*pending)

  def provenance(self) -> dict[str, Any]:
    """What a score over this network must quote."""
    return {
      "name": self.name,
      "weights_hash": self.weights_hash,
      "feature_dim": self.feature_dim,
      **self.facts,
    }

  def _check(self, images: np.ndarray) -> None:
    fits = (
      images.shape[1:] == self.image_shape
      if self.image_shape
      else images.ndim == 4 and images.shape[-1] in (1, 3)
    )
    if images.dtype != np.uint8 or not fits:
      shape = self.image_shape or "(H, W, 1 or 3)"
      raise ValueError(
        f"The network {self.name} takes uint8 images of shape {shape}; got "
        f"{images.dtype} {images.shape}."
      )


def default_batch_size(image_shape: tuple[int, int, int] | None) -> int:
  """More for networks of one small size, less where memory is scarce."""
  if image_shape:
    return 256
  return 32 if jax.default_backend() == "cpu" else 256


def weights_hash(params: Mapping[str, Any]) -> str:
  """SHA-256 of the names, types, shapes and bytes of nested parameters."""
  digest = hashlib.sha256()
  flat = flax.traverse_util.flatten_dict(params, sep="/")
  for name, array in sorted(flat.items()):
    array = np.ascontiguousarray(array)
    digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
    digest.update(array.tobytes())
  return digest.hexdigest()


@functools.partial(jax.jit, static_argnames="forward")
def _forward(params, images, *, forward):
  return forward(params, images)


def _batches(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
  for block in blocks:
    for start in range(0, len(block), size):
      yield block[start : start + size]


def _fetch(
  outputs: tuple[jax.Array, jax.Array], num: int
) -> tuple[np.ndarray, np.ndarray]:
  """The rows that are no padding."""
  features, logits = jax.device_get(outputs)
  return features[:num], logits[:num]

"""The networks that metrics use: from images to features and logits."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import flax
import jax
import numpy as np

from pseudovideo import errors
from pseudovideo.devices import batching

Forward = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureNetwork:
  """A network from images to features and logits, and what to say about it.

  Attributes:
    name: name such as `inception` or `digitscls`; scores are named after it.
    weights_hash: SHA-256 (hexadecimal) of the weights.
    feature_dim: D.
    num_classes: K.
    image_shape: (H, W, C) of the images that it takes; None: it takes any size,
      and one or three channels.
    forward: pure function of the parameters and uint8 images (B, H, W, C) to
      features (B, D) and logits (B, K), float32. It is compiled once as long
      as it is the same function.
    params: its parameters.
    facts: other facts that a score must quote.
    binarize: how its training data were binarized, one of `pixels.BINARIZE`.
    frames: 0 for images. Otherwise the network takes videos (B, T, H, W, C)
      instead, of at least so many frames.
    batch_size: images per call.
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
  frames: int = 0
  batch_size: int = 256

  def __call__(
    self, images: np.ndarray, batch_size: int | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits of images in memory.

    Args:
      images: (N, H, W, C) uint8.
      batch_size: see `stream`.

    Returns:
      Features (N, D) and logits (N, K), float32.

    Raises:
      UserError: images of another type or size.
    """
    self.check(images.shape[1:], images.dtype)
    features = np.empty((len(images), self.feature_dim), np.float32)
    logits = np.empty((len(images), self.num_classes), np.float32)
    for rows, (one, two) in self.stream([images], batch_size):
      features[rows], logits[rows] = one, two
    return features, logits

  def stream(
    self, blocks: Iterable[np.ndarray], batch_size: int | None = None
  ) -> Iterator[tuple[slice, tuple[np.ndarray, np.ndarray]]]:
    """Features and logits batch by batch, in order.

    Args:
      blocks: uint8 arrays (n, H, W, C) of any n, images that `check` takes.
      batch_size: images per call of the network, if not its own.

    Returns:
      An iterator over slices of the images, their features (b, D) and their
      logits (b, K), float32, with b at most the batch size.
    """
    return batching.map_batches(
      self.forward,
      (self.params,),
      blocks,
      batch_size=batch_size or self.batch_size,
    )

  def provenance(self) -> dict[str, Any]:
    """The facts that a score over this network must quote."""
    return {
      "name": self.name,
      "weights_hash": self.weights_hash,
      "feature_dim": self.feature_dim,
      **self.facts,
    }

  def check(
    self, shape: tuple[int, ...], dtype: np.dtype | type = np.uint8
  ) -> None:
    """Refuses images, or videos, that the network does not take.

    Args:
      shape: shape of one of them.
      dtype: type of their numbers.

    Raises:
      UserError: says what it takes.
    """
    if dtype != np.uint8:
      raise errors.UserError(
        f"The network {self.name} takes uint8 images; got {dtype}."
      )
    wanted = self.image_shape or ("H", "W", "1 or 3")
    fits = shape == wanted or (not self.image_shape and shape[-1] in (1, 3))
    if self.frames:
      wanted = (f"at least {self.frames}", *wanted)
      fits = fits and len(shape) == 4 and shape[0] >= self.frames
    if not fits or len(shape) != len(wanted):
      raise errors.UserError(
        f"The network {self.name} takes {'videos' if self.frames else 'images'}"
        f" of shape ({', '.join(map(str, wanted))}); got {tuple(shape)}."
      )


def weights_hash(params: Mapping[str, Any]) -> str:
  """SHA-256 of the names, types, shapes and bytes of nested parameters."""
  digest = hashlib.sha256()
  flat = flax.traverse_util.flatten_dict(params, sep="/")
  for name, array in sorted(flat.items()):
    array = np.ascontiguousarray(array)
    digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
    digest.update(array.tobytes())
  return digest.hexdigest()

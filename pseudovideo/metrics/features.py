"""Feature networks: trained once per data set, kept on disk with a hash."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from pseudovideo import errors, folders, keys, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.metrics import classifier


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureNetwork:
  """A trained classifier with what must be said about it.

  Attributes:
    name: such as `digitscls`, or `mnistcls-bernoulli` for binarized data.
    weights_hash: SHA-256 (hexadecimal) of its parameters.
    accuracy: fraction of held-out images that it labels correctly.
    num_train: images that it was trained on.
    feature_dim: D.
    num_classes: K.
    binarize: how the data was binarized, one of `pixels.BINARIZE`.
    image_shape: (H, W, C) of the images that it takes.
    network: the Linen module.
    params: its parameters.
  """

  name: str
  weights_hash: str
  accuracy: float
  num_train: int
  feature_dim: int
  num_classes: int
  binarize: str
  image_shape: tuple[int, int, int]
  network: Any
  params: Any

  def __call__(
    self, images: np.ndarray, batch_size: int = 256
  ) -> tuple[np.ndarray, np.ndarray]:
    """Features and predictions; all batches are padded to one size.

    Args:
      images: (N, H, W, C) uint8.
      batch_size: images per call of the network.

    Returns:
      Features (N, D) and logits (N, K), float32.

    Raises:
      ValueError: images of another type or size.
    """
    if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
      raise ValueError(
        f"The network {self.name} takes uint8 images of shape "
        f"{self.image_shape}; got {images.dtype} {images.shape}."
      )
    features = np.empty((len(images), self.feature_dim), np.float32)
    logits = np.empty((len(images), self.num_classes), np.float32)
    for start in range(0, len(images), batch_size):
      batch = np.zeros((batch_size, *self.image_shape), np.uint8)
      num = len(images[start : start + batch_size])
      batch[:num] = images[start : start + batch_size]
      outputs = _forward(self.params, batch, network=self.network)
      features[start : start + num] = outputs[0][:num]
      logits[start : start + num] = outputs[1][:num]
    return features, logits

  def provenance(self) -> dict[str, Any]:
    """What a score over this network must quote."""
    return {
      "name": self.name,
      "weights_hash": self.weights_hash,
      "held_out_accuracy": self.accuracy,
      "num_train": self.num_train,
      "feature_dim": self.feature_dim,
    }


@functools.partial(jax.jit, static_argnames="network")
def _forward(params, images, *, network):
  x = pixels.to_float(images, classifier.VALUE_RANGE)
  return network.apply({"params": params}, x)


def binarized(images: np.ndarray, how: str, split: str) -> np.ndarray:
  """The images of a split, binarized by one draw that never changes.

  Args:
    images: (N, H, W, C) uint8.
    how: one of `pixels.BINARIZE`.
    split: `train` or `test`, which are drawn independently.
  """
  if how == "none":
    return images
  key = keys.named(jax.random.key(0), split)
  return np.asarray(pixels.binarize(jnp.asarray(images), how, key=key))


def get_feature_network(
  image_set: ImageSet,
  *,
  binarize: str = "none",
  cache: pathlib.Path | None = None,
  recipe: classifier.Recipe | None = None,
) -> FeatureNetwork:
  """The classifier of a data set, from disk, or trained now and kept there.

  Args:
    image_set: with labels; only its training split is trained on.
    binarize: one of `pixels.BINARIZE`.
    cache: folder of the trained networks; by default
      `folders.cache_dir("classifiers")`.
    recipe: of the training; by default `classifier.default_recipe`.

  Raises:
    UserError: a set without labels, or an unknown binarization.
  """
  if binarize not in pixels.BINARIZE:
    raise errors.unknown("binarization", binarize, pixels.BINARIZE)
  if image_set.train_labels is None:
    raise errors.UserError(
      f"The data set {image_set.name!r} has no labels, so no classifier can "
      "be trained on it for a Frechet distance, KID or inception score; only "
      "the distance to the nearest training image can be computed. Choose a "
      "data set with labels for the others."
    )
  recipe = recipe or classifier.default_recipe(image_set)
  facts = {
    "fingerprint": image_set.fingerprint,
    "binarize": binarize,
    "recipe": dataclasses.asdict(recipe),
  }
  name = f"{image_set.name.partition(':')[0]}cls"
  if binarize != "none":
    name += f"-{binarize}"
  key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
  path = (cache or folders.cache_dir("classifiers")) / f"{name}-{key[:16]}.npz"
  if path.exists():
    try:
      params, accuracy = _read(path)
      return _assemble(image_set, name, binarize, params, accuracy)
    except _DamagedError as damage:
      logging.warning(
        "The cached classifier %s is damaged (%s); it is trained again.",
        path,
        damage,
      )
  logging.info(
    "Training the classifier %s for the scores, %d steps, once.",
    name,
    recipe.steps,
  )
  params = classifier.train(image_set, binarize, recipe)
  accuracy = _accuracy(
    _assemble(image_set, name, binarize, params, 0.0), image_set
  )
  logging.info("Trained %s: held-out accuracy %.4f", name, accuracy)
  _write(path, params, {**facts, "accuracy": accuracy})
  return _assemble(image_set, name, binarize, params, accuracy)


def _assemble(
  image_set: ImageSet, name: str, binarize: str, params: Any, accuracy: float
) -> FeatureNetwork:
  network = classifier.network_for(image_set)
  return FeatureNetwork(
    name=name,
    weights_hash=weights_hash(params),
    accuracy=accuracy,
    num_train=len(image_set.train_images),
    feature_dim=network.num_features,
    num_classes=image_set.num_classes,
    binarize=binarize,
    image_shape=tuple(image_set.image_shape),
    network=network,
    params=params,
  )


def _accuracy(network: FeatureNetwork, image_set: ImageSet) -> float:
  images = binarized(image_set.test_images, network.binarize, "test")
  _, logits = network(images)
  return float(np.mean(logits.argmax(1) == image_set.test_labels))


def weights_hash(params: Mapping[str, Any]) -> str:
  """SHA-256 of the names, types, shapes and bytes of nested parameters."""
  digest = hashlib.sha256()
  flat = flax.traverse_util.flatten_dict(params, sep="/")
  for name, array in sorted(flat.items()):
    array = np.ascontiguousarray(array)
    digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
    digest.update(array.tobytes())
  return digest.hexdigest()


class _DamagedError(Exception):
  """A file of the cache whose contents are not what was written."""


def _checksum(text: str, params: Any) -> str:
  return hashlib.sha256(f"{text} {weights_hash(params)}".encode()).hexdigest()


def _read(path: pathlib.Path) -> tuple[Any, float]:
  """Parameters and accuracy, or _DamagedError."""
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = dict(file)
    text, checksum = str(arrays.pop("facts")), str(arrays.pop("sha256"))
    params = flax.traverse_util.unflatten_dict(arrays, sep="/")
    if _checksum(text, params) != checksum:
      raise _DamagedError("it does not match its checksum")
    return params, json.loads(text)["accuracy"]
  # What zipfile and numpy raise for files that were cut or changed.
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
    raise _DamagedError(f"{type(error).__name__}: {error}") from error


def _write(path: pathlib.Path, params: Any, facts: dict[str, Any]) -> None:
  """Writes the file whole or not at all; a full disk is only a warning."""
  text = json.dumps(facts)
  arrays = flax.traverse_util.flatten_dict(params, sep="/")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
      dir=path.parent, prefix=".new-", delete=False
    ) as file:
      np.savez(file, facts=text, sha256=_checksum(text, params), **arrays)
      file.flush()
      os.fsync(file.fileno())
    os.replace(file.name, path)
  except OSError as error:
    logging.warning(
      "The classifier cannot be kept in %s (%s); it will be trained again.",
      path,
      error.strerror,
    )

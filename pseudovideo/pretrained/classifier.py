"""The classifier of a data set: packaged, or trained once and kept on disk."""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import flax
import numpy as np
from absl import logging

from pseudovideo import errors, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.files import atomic, npz, unkept, untrusted
from pseudovideo.pretrained import (
  classifier_training,
  packaged,
  whitened_training,
)
from pseudovideo.pretrained.features import FeatureNetwork, weights_hash
from pseudovideo.pretrained.networks import classifier as networks

Recipe = classifier_training.Recipe | whitened_training.Recipe


def get_feature_network(
  image_set: ImageSet,
  *,
  binarize: str = "none",
  cache: pathlib.Path | None = None,
  recipe: Recipe | None = None,
) -> FeatureNetwork:
  """The classifier of a data set: packaged, from disk, or trained now.

  What is trained is kept on disk. `provenance()` says the `origin`.

  Args:
    image_set: images with labels; only its training split is trained on.
    binarize: one of `pixels.BINARIZE`.
    cache: folder of the trained networks; by default
      `atomic.cache_dir("classifiers")`.
    recipe: how to train it, also where one is packaged. By default the
      packaged one is taken, else `classifier_training.default_recipe`.

  Raises:
    UserError: a set without labels, an unknown binarization, or a damaged
      package.
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
  name = classifier_training.network_name(image_set, binarize)
  if recipe is None and (found := packaged.find(image_set, binarize)):
    accuracy = found.facts["held_out_accuracy"]
    return _assemble(
      image_set, name, binarize, found.params, accuracy, origin="packaged"
    )
  recipe = recipe or classifier_training.default_recipe(image_set)
  facts = {
    "fingerprint": image_set.fingerprint,
    "binarize": binarize,
    "recipe": dataclasses.asdict(recipe),
  }
  key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
  path = (cache or atomic.cache_dir("classifiers")) / f"{name}-{key[:16]}.npz"
  kept = _unkept.get(path) or _kept(path, facts)
  if kept is None:
    kept = params, accuracy = _train(image_set, name, binarize, recipe)
    if not _write(path, params, {**facts, "accuracy": accuracy}):
      _unkept[path] = kept
  return _assemble(image_set, name, binarize, *kept)


# Trained networks that could not be written: parameters and accuracy by path.
_unkept: dict[pathlib.Path, tuple[Any, float]] = {}


def _train(
  image_set: ImageSet, name: str, binarize: str, recipe: Recipe
) -> tuple[Any, float]:
  """Parameters and held-out accuracy."""
  logging.info("Training the classifier %s for the scores, once.", name)
  if isinstance(recipe, whitened_training.Recipe):
    params = whitened_training.train(image_set, binarize, recipe)
  else:
    params = classifier_training.train(image_set, binarize, recipe)
  network = _assemble(image_set, name, binarize, params, 0.0)
  accuracy = _accuracy(network, image_set)
  logging.info("Trained %s: held-out accuracy %.4f", name, accuracy)
  return params, accuracy


def _assemble(
  image_set: ImageSet,
  name: str,
  binarize: str,
  params: Any,
  accuracy: float,
  origin: str = "trained on this machine",
) -> FeatureNetwork:
  feature_dim, num_classes = params["logits"]["kernel"].shape
  return FeatureNetwork(
    name=name,
    weights_hash=weights_hash(params),
    feature_dim=feature_dim,
    num_classes=num_classes,
    image_shape=image_set.image_shape,
    forward=_forward,
    params=params,
    facts={
      "origin": origin,
      "held_out_accuracy": accuracy,
      "num_train": len(image_set.train_images),
      "value_range": list(networks.VALUE_RANGE),
      "resize": "none",
    },
    binarize=binarize,
  )


def _forward(params, images):
  return networks.apply(params, pixels.to_float(images, networks.VALUE_RANGE))


def _accuracy(network: FeatureNetwork, image_set: ImageSet) -> float:
  images = pixels.fixed_binarization(
    image_set.test_images, network.binarize, "test"
  )
  _, logits = network(images)
  return float(np.mean(logits.argmax(1) == image_set.test_labels))


class _DamagedError(Exception):
  """A file of the cache whose contents are not what was written."""


def _checksum(text: str, params: Any) -> str:
  return hashlib.sha256(f"{text} {weights_hash(params)}".encode()).hexdigest()


def _kept(
  path: pathlib.Path, facts: dict[str, Any]
) -> tuple[Any, float] | None:
  """Parameters and accuracy from disk, None where there are none to be used."""
  try:
    return _read(path, facts)
  except (FileNotFoundError, NotADirectoryError, PermissionError):
    return None  # `_write` says what is the matter.
  except _DamagedError as damage:
    logging.warning(
      "The cached classifier %s is damaged (%s); it is trained again.",
      path,
      damage,
    )
    return None


def _read(path: pathlib.Path, facts: dict[str, Any]) -> tuple[Any, float]:
  """Parameters and accuracy, or _DamagedError.

  Raises:
    OSError: there is no file, or none that may be read.
  """
  try:
    with npz.opened(path) as archive:
      arrays = {}
      for entry in archive.infolist():
        npz.check_entry(path, entry)
        name = entry.filename.removesuffix(".npy")
        arrays[name] = npz.read_array(archive, entry)
    text, checksum = str(arrays.pop("facts")), str(arrays.pop("sha256"))
    params = flax.traverse_util.unflatten_dict(arrays, sep="/")
    if _checksum(text, params) != checksum:
      raise _DamagedError("it does not match its checksum")
    found = json.loads(text)
    accuracy = found.pop("accuracy")
  except (
    FileNotFoundError,
    NotADirectoryError,
    PermissionError,
    _DamagedError,
  ):
    raise
  except Exception as error:  # A damaged file can raise a dozen kinds.
    raise _DamagedError(untrusted.reason(error)) from error
  if found != json.loads(json.dumps(facts)):
    raise _DamagedError("it is of another data set or recipe")
  return params, accuracy


def _write(path: pathlib.Path, params: Any, facts: dict[str, Any]) -> bool:
  """Writes the file whole or not at all; returns whether it could."""
  text = json.dumps(facts)
  arrays = flax.traverse_util.flatten_dict(params, sep="/")
  try:
    with atomic.replacing(path) as part, part.open("wb") as file:
      np.savez(file, facts=text, sha256=_checksum(text, params), **arrays)
  except OSError as error:
    unkept.warn("Classifiers", path.parent, error)
    return False
  return True

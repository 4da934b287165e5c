"""Classifiers that come with the package, so that all machines share them.

A file holds the parameters of one classifier, and its facts in JSON, which are
the only metadata. Facts carry a checksum, and the hash of the weights.
`python -m experiments.classifiers`, in the repository, trains them again.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import flax

from pseudovideo import errors
from pseudovideo.data.image_set import ImageSet
from pseudovideo.files import atomic, safetensors, untrusted
from pseudovideo.pretrained import classifier_training
from pseudovideo.pretrained.features import weights_hash

FOLDER = pathlib.Path(__file__).parent / "trained"


@dataclasses.dataclass(frozen=True)
class Packaged:
  """A trained classifier.

  Attributes:
    params: its parameters, a nested dict of read-only numpy arrays.
    facts: `network`, `data`, `fingerprint`, `image_shape`, `binarize`,
      `recipe`, `held_out_accuracy`, `weights_hash` and `packages`.
  """

  params: Any
  facts: Mapping[str, Any]


def find(image_set: ImageSet, binarize: str = "none") -> Packaged | None:
  """The packaged classifier of a data set; None if there is none.

  Args:
    image_set: images whose fingerprint the classifier's must equal.
    binarize: one of `pixels.BINARIZE`.

  Raises:
    UserError: its file is damaged.
  """
  try:
    found = read(FOLDER / file_name(image_set, binarize))
  except FileNotFoundError:
    return None
  of = found.facts["fingerprint"], found.facts["binarize"]
  return found if of == (image_set.fingerprint, binarize) else None


def file_name(image_set: ImageSet, binarize: str) -> str:
  """The name of a file, with the beginning of the data set's fingerprint."""
  name = classifier_training.network_name(image_set, binarize)
  return f"{name}-{image_set.fingerprint[:8]}.safetensors"


def read(path: pathlib.Path) -> Packaged:
  """Reads a file that `write` wrote.

  Raises:
    FileNotFoundError: there is none.
    UserError: it is damaged or altered.
  """
  try:
    untrusted.opened(path).close()
    facts = json.loads(safetensors.metadata(path)["facts"])
    params = flax.traverse_util.unflatten_dict(safetensors.read(path), sep="/")
    if facts.pop("sha256") != _checksum(facts):
      raise ValueError("its facts do not match their checksum")
    if facts["weights_hash"] != weights_hash(params):
      raise ValueError("its weights do not match their hash")
  except FileNotFoundError:
    raise
  except Exception as error:  # A damaged file can raise a dozen kinds.
    raise errors.UserError(
      f"The packaged classifier {path} is damaged ({untrusted.reason(error)}); "
      "reinstall the package."
    ) from error
  return Packaged(params, facts)


def write(path: pathlib.Path, classifier: Packaged) -> None:
  """Writes a file, replacing it in one step; equal ones have equal bytes.

  Raises:
    OSError: it cannot be written; names it.
  """
  facts = dict(classifier.facts)
  text = json.dumps({**facts, "sha256": _checksum(facts)}, sort_keys=True)
  arrays = flax.traverse_util.flatten_dict(classifier.params, sep="/")
  with atomic.replacing(path) as part:
    safetensors.write(part, arrays, {"facts": text})


def _checksum(facts: Mapping[str, Any]) -> str:
  return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

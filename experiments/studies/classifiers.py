"""Classifiers that come with the package, trained again.

  python -m experiments.classifiers [--names=digits,...] [--out=FOLDER]

Writes the weights of each into the package (`pretrained/trained`), and a log
into `results/classifiers`, or both into --out. The weights are the same bits
only where processor, number of cores and versions are those of the log. Where
they differ, all scores over the classifier are other numbers. Each takes some
minutes, `cifar10` half an hour.
"""

import dataclasses
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import optax
from absl import flags

from pseudovideo import data, errors, pixels
from pseudovideo.data import ImageSet
from pseudovideo.files import writable
from pseudovideo.pretrained import (
  classifier,
  classifier_training,
  packaged,
  whitened_training,
)
from pseudovideo.pretrained.features import FeatureNetwork
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

LOGS = pathlib.Path(__file__).parents[2] / "results" / "classifiers"
# Name -> data set and binarization.
CLASSIFIERS = {
  "digits": ("digits", "none"),
  "mnist": ("mnist", "none"),
  "mnist-bernoulli": ("mnist", "bernoulli"),
  "mnist-threshold": ("mnist", "threshold"),
  "cifar10": ("cifar10", "none"),
}


def recipe_for(image_set: ImageSet) -> classifier.Recipe:
  """The recipe of a packaged classifier: colour images need a better one."""
  if image_set.image_shape[-1] == 3:
    return whitened_training.Recipe()
  return classifier_training.default_recipe(image_set)


def train(
  image_set: ImageSet, binarize: str
) -> tuple[packaged.Packaged, dict[str, Any]]:
  """Trains a classifier by `recipe_for`.

  Returns:
    The classifier, and what its log says beside its facts.
  """
  recipe = recipe_for(image_set)
  start = time.perf_counter()
  with tempfile.TemporaryDirectory() as folder:
    network = classifier.get_feature_network(
      image_set, binarize=binarize, cache=pathlib.Path(folder), recipe=recipe
    )
  seconds = time.perf_counter() - start
  provenance = results.provenance()
  facts = {
    "network": network.name,
    "data": image_set.name,
    "source": image_set.source,
    "fingerprint": image_set.fingerprint,
    "image_shape": list(image_set.image_shape),
    "binarize": binarize,
    "recipe": dataclasses.asdict(recipe),
    "held_out_accuracy": network.facts["held_out_accuracy"],
    "weights_hash": network.weights_hash,
    "packages": provenance["packages"],
  }
  about = {
    **_on_training_images(network, image_set),
    "seconds": seconds,
    "cores": _cores(),
    "provenance": provenance,
  }
  return packaged.Packaged(network.params, facts), about


def _cores() -> int | None:
  """Cores that this process may use, not all that there are."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count()


def _on_training_images(
  network: FeatureNetwork, image_set: ImageSet
) -> dict[str, float]:
  """Loss, in nats, and accuracy at the end, without augmentation."""
  images = pixels.fixed_binarization(
    image_set.train_images, network.binarize, "train"
  )
  _, logits = network(images)
  losses = optax.softmax_cross_entropy_with_integer_labels(
    logits, image_set.train_labels
  )
  right = logits.argmax(1) == image_set.train_labels
  return {
    "train_loss": float(losses.mean()),
    "train_accuracy": float(np.mean(right)),
  }


def make(name: str, weights: pathlib.Path, logs: pathlib.Path) -> None:
  """Trains the classifier of a name, writes its files, and prints a line."""
  data_set, binarize = CLASSIFIERS[name]
  image_set = data.load(data_set)
  path = weights / packaged.file_name(image_set, binarize)
  log = logs / f"{name}.json"
  for file in (path, log):
    writable.check(file)
  found, about = train(image_set, binarize)
  packaged.write(path, found)
  results.write_json(log, {"file": path.name, **found.facts, **about})
  print(
    f"{name}: held-out accuracy {found.facts['held_out_accuracy']:.2%}, weights"
    f" {found.facts['weights_hash'][:8]}, {about['seconds']:.0f} s; {path} and "
    f"{log}."
  )


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  flags.DEFINE_list(
    "names",
    None,
    f"Train these of {', '.join(CLASSIFIERS)}; all if absent.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "out",
    None,
    "Write weights and logs to this folder, not into the repository.",
    flag_values=values,
  )
  return values


def run(argv: Sequence[str]) -> int:
  """Trains and writes; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values)
  names = list(CLASSIFIERS) if values.names is None else values.names
  if not names:
    raise errors.UserError(
      f"--names is empty; name some of {', '.join(CLASSIFIERS)}, or leave it "
      "out for all."
    )
  for name in names:
    errors.look_up("classifier", name, CLASSIFIERS)
  command_line.set_up()
  weights, logs = packaged.FOLDER, LOGS
  if values.out:
    weights = logs = pathlib.Path(values.out)
  for name in names:
    make(name, weights, logs)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

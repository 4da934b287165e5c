"""How sensitive and how noisy the scores of images are.

  python -m experiments run instruments --dataset=cifar10 --publish=results
  python -m experiments report instruments --dataset=cifar10

`run` scores held-out images against training images, as they are and changed:
noise, blur, less contrast, JPEG again, classes left out, duplicates, and
training images among them, each in rising strength, in sets of several sizes.
A score that means something gets worse with each; one that does not see a
change, or calls it an improvement, should not be used where it may occur. Of
colour images it also asks what EfficientNet-Lite0 should see: the accuracy of
a linear classifier of its features by side and scale of the input.

What networks see is kept in the cache, and instruments that are done are not
measured again.
"""

import pathlib
import time
from collections.abc import Sequence
from typing import Any

from experiments.reporting import report
from experiments.running import commands
from experiments.studies.sensitivity import inputs, measure, table
from pseudovideo import data, errors
from pseudovideo.data.image_set import ImageSet
from pseudovideo.evaluation import feature_networks
from pseudovideo.files import writable
from pseudovideo.metrics import sources
from pseudovideo.pretrained.features import FeatureNetwork
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

SEED = 0
# Sizes of the sets; of other data sets half of the held-out images, and all.
SIZES = {"cifar10": (500, 2000, 10_000)}
FAMILY = "instruments"
# Halves of a set must have more images than precision takes neighbours.
LEAST = 32


def sizes_of(image_set: ImageSet) -> tuple[int, ...]:
  """Numbers of images in the sets that are scored."""
  num = len(image_set.test_images)
  return SIZES.get(image_set.name, (num // 2, num))


def networks_of(image_set: ImageSet) -> dict[str, FeatureNetwork | None]:
  """The instruments by name: pixels, which need no network, and networks."""
  use = feature_networks.Use(efflite0="always", inception="auto")
  networks = feature_networks.networks_for(image_set, use=use)
  return {"pixels": None} | {network.name: network for network in networks}


def run_study(
  image_set: ImageSet, path: pathlib.Path, sizes: Sequence[int]
) -> dict[str, Any]:
  """Measures what is not in the file yet, and writes it there.

  Args:
    image_set: images with labels.
    path: the file.
    sizes: numbers of images in the sets that are scored.

  Returns:
    What the file holds.
  """
  training = sources.of_split(image_set, "train")
  record = _begun(image_set, path)
  for name, network in networks_of(image_set).items():
    about = network and network.provenance()
    mine = [row for row in record["rows"] if row["instrument"] == name]
    same = record["networks"].get(name) == about
    if same and {row["size"] for row in mine} == set(sizes):
      continue
    begin = time.monotonic()
    if network is None:
      instrument: measure.Instrument = measure.Pixels(training)
    else:
      instrument = measure.Features(network, training)
    found = measure.scores(image_set, instrument, sizes, seed=SEED)
    others = [row for row in record["rows"] if row["instrument"] != name]
    record["rows"] = [*others, *found]
    record["networks"][name] = about
    record["seconds"][name] = time.monotonic() - begin
    results.write_json(path, record)
  if image_set.image_shape[-1] == 3 and "inputs" not in record:
    record["inputs"] = inputs.measure(image_set, SEED)
    results.write_json(path, record)
  return record


def _begun(image_set: ImageSet, path: pathlib.Path) -> dict[str, Any]:
  """The record of the same images on disk, or a new one."""
  about = {
    "name": image_set.name,
    "fingerprint": image_set.fingerprint,
    "train": len(image_set.train_images),
    "held_out": len(image_set.test_images),
    "source": image_set.source,
  }
  if path.is_file():
    with results.from_file(path):
      found = results.read_json(path)
      if (found["data"], found["seed"]) == (about, SEED):
        _ = text(found, "text")  # A damaged one is refused here.
        return found
  return {
    "title": f"Instruments, {image_set.name}",
    "data": about,
    "seed": SEED,
    "networks": {},
    "rows": [],
    "seconds": {},
    "provenance": results.provenance(),
  }


def text(record: dict[str, Any], form: str) -> str:
  """The record as tables and sentences."""
  show = report.FORMATS[form]
  parts = [
    part
    for size in table.sizes(record)
    for part in (f"Sets of {size:,} images", show(*table.of_size(record, size)))
  ]
  if "inputs" in record:
    parts += ["Input of efflite0", show(*table.of_inputs(record))]
  return "\n\n".join([*parts, *table.sentences(record)])


def _path(root: str, dataset: str) -> pathlib.Path:
  return pathlib.Path(root, FAMILY, f"{dataset.replace('/', '_')}.json")


def _run(values: commands.Values) -> int:
  path = _path(values.root, values.dataset)
  writable.check(path)
  if values.publish:
    writable.check(_path(values.publish, values.dataset))
  command_line.set_up()
  image_set = data.load(values.dataset, data_dir=values.data_dir)
  if image_set.test_labels is None:
    raise errors.UserError(
      f"The instruments are compared on data with labels, and {values.dataset} "
      "has none; give --dataset=digits, mnist or cifar10."
    )
  if len(image_set.test_images) < LEAST:
    raise errors.UserError(
      f"The instruments are compared on {LEAST} held-out images or more, and "
      f"{values.dataset} has {len(image_set.test_images)}; give a larger set."
    )
  record = run_study(image_set, path, sizes_of(image_set))
  if values.publish:
    results.write_json(_path(values.publish, values.dataset), record)
  print(text(record, "text"))
  return 0


def _report(values: commands.Values) -> int:
  path = _path(values.results or values.root, values.dataset)
  if not path.is_file():
    raise errors.UserError(
      f"There is no {path} yet; python -m experiments run instruments "
      f"--dataset={values.dataset} writes it."
    )
  with results.from_file(path):
    print(text(results.read_json(path), values.format))
  return 0


COMMANDS = {
  "run": commands.Command(("dataset", "root", "data_dir", "publish"), _run),
  "report": commands.Command(("dataset", "root", "results", "format"), _report),
}


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.main(COMMANDS, __doc__, argv)

"""The data that a run is trained on, as its checkpoints remember them.

A record, as JSON:

  {"fingerprint": SHA-256 of the arrays, "image_shape": [H, W, C],
   "classes": number of classes or null,
   "held_out": names of the held-out files of a folder that has no split of its
     own, or null,
   "earlier": [{"fingerprint", "until_step"}, ...] where the data were changed}
"""

from collections.abc import Mapping
from typing import Any

from absl import logging

from pseudovideo import data, errors
from pseudovideo.config import parsing

Record = Mapping[str, Any]


def load(
  config: parsing.Config, record: Record | None, data_dir: Any = None
) -> data.ImageSet:
  """Loads the data set of a config, with the split of a record.

  Args:
    config: the config of the run.
    record: what the run was trained on so far, if it is known. Images that it
      held out stay held out.
    data_dir: folder of TFDS sets.

  Raises:
    UserError: see `data.load`.
  """
  return data.load(
    config.data.name,
    data_dir=data_dir,
    held_out=record["held_out"] if record else None,
    background=config.data.background,
  )


def make(
  image_set: data.ImageSet, before: Record | None = None, step: int = 0
) -> Record:
  """The record of a run that is trained on a data set from `step` on.

  Args:
    image_set: the data set.
    before: the record of the run's checkpoint, if there is one.
    step: updates done.
  """
  earlier = list(before["earlier"]) if before else []
  if before and before["fingerprint"] != image_set.fingerprint:
    earlier.append({"fingerprint": before["fingerprint"], "until_step": step})
  names = image_set.held_out_names
  return {
    "fingerprint": image_set.fingerprint,
    "image_shape": list(image_set.image_shape),
    "classes": image_set.num_classes,
    "held_out": None if names is None else list(names),
    "earlier": earlier,
  }


def is_other(record: Record | None, image_set: data.ImageSet) -> bool:
  """True if a run is known to be trained on other images than these."""
  return record is not None and (record["fingerprint"] != image_set.fingerprint)


def refuse_others(
  workdir: Any,
  record: Record | None,
  image_set: data.ImageSet,
  *,
  accept: bool,
) -> None:
  """Refuses to go on with other images than a run was trained on.

  Args:
    workdir: folder of the run.
    record: the record of its checkpoint; a warning says if there is none.
    image_set: the data set as it is now.
    accept: whether other images are accepted.

  Raises:
    UserError: they are others, and not accepted; names both fingerprints.
  """
  if record is None:
    logging.warning(
      "The checkpoint in %s is of a version that kept no fingerprint of its "
      "data; it is taken to be of %s as it is now.",
      workdir,
      image_set.name,
    )
  elif is_other(record, image_set):
    if not accept:
      raise errors.UserError(
        f"{workdir} was trained on other images than {image_set.name} holds "
        f"now: their fingerprint was {_short(record['fingerprint'])} and is "
        f"{_short(image_set.fingerprint)}. Put the old images back, or accept "
        "the new ones with --config.data.accept_changed=True."
      )
    logging.warning(
      "Training goes on with other images: their fingerprint was %s and is %s.",
      _short(record["fingerprint"]),
      _short(image_set.fingerprint),
    )


def sentence(record: Mapping[str, Any]) -> str | None:
  """The sentence about data that changed since training; None if they did not.

  Args:
    record: entry `data` of a results.json.
  """
  trained = record.get("trained_on")
  if trained is None or trained == record["fingerprint"]:
    return None
  return (
    f"Scored on other data than it was trained on: {record['name']} has the "
    f"fingerprint {_short(record['fingerprint'])} now, and had "
    f"{_short(trained)} then."
  )


def _short(fingerprint: str) -> str:
  return fingerprint[:12]

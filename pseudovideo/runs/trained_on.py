"""The data that a run is trained on, as its checkpoints remember them.

A record, as JSON:

  {"fingerprint": SHA-256 of the arrays, "image_shape": [H, W, C],
   "classes": number of classes or null,
   "held_out": names of all files that were ever held out, of a folder that has
     no split of its own, or null,
   "earlier": [{"fingerprint", "until_step"}, ...] where the data were changed}
"""

from collections.abc import Mapping
from typing import Any

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
  try:
    return data.load(
      config.data.name,
      data_dir=data_dir,
      held_out=record["held_out"] if record else None,
      background=config.data.background,
    )
  except errors.UserError as error:
    kind, colon, _ = config.data.name.partition(":")
    if record is None or not colon:
      raise
    raise errors.UserError(
      f"{error} If the images of the run have moved, name their new place with "
      f"--config.data.name={kind}:NEW."
    ) from error


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
  if names is not None and before:
    names = tuple(dict.fromkeys((*(before["held_out"] or ()), *names)))
  return {
    "fingerprint": image_set.fingerprint,
    "image_shape": list(image_set.image_shape),
    "classes": image_set.num_classes,
    "held_out": None if names is None else list(names),
    "earlier": earlier,
  }


def refuse_others(
  workdir: Any,
  record: Record | None,
  image_set: data.ImageSet,
  *,
  accept: bool,
) -> None:
  """Refuses other images than a run was trained on.

  Args:
    workdir: folder of the run.
    record: the record of its checkpoint; without it nothing is known.
    image_set: the data set as it is now.
    accept: whether other images are accepted; never of another shape.

  Raises:
    UserError: they are others, and not accepted; names both fingerprints.
  """
  if record is None or record["fingerprint"] == image_set.fingerprint:
    return
  if list(image_set.image_shape) != list(record["image_shape"]):
    raise errors.UserError(
      f"{workdir} was trained on images of {tuple(record['image_shape'])}, and "
      f"{image_set.name} has {tuple(image_set.image_shape)}; train in another "
      "--workdir."
    )
  if not accept:
    raise errors.UserError(
      f"{workdir} was trained on other images than {image_set.name} holds now: "
      f"their fingerprint was {_short(record['fingerprint'])} and is "
      f"{_short(image_set.fingerprint)}. Put the old images back, or train on "
      f"with the new ones by --mode=train --workdir={workdir} "
      "--config.data.accept_changed=True."
    )


def sentences(record: Mapping[str, Any]) -> list[str]:
  """Sentences about the data of a score; none if they never changed.

  Args:
    record: entry `data` of a results.json.
  """
  said = []
  trained = record.get("trained_on")
  if trained is not None and trained != record["fingerprint"]:
    said.append(
      f"Scored on other data than it was trained on: {record['name']} has the "
      f"fingerprint {_short(record['fingerprint'])} now, and had "
      f"{_short(trained)} then."
    )
  for before in record.get("earlier", []):
    until = before["until_step"]
    when = f"until step {until:,}" if until else "before its first step"
    said.append(
      f"Trained {when} on data with the fingerprint "
      f"{_short(before['fingerprint'])}, of which images may be held out now."
    )
  return said


def _short(fingerprint: str) -> str:
  return fingerprint[:12]

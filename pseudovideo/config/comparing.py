"""Forms of a config, and the fields in which two configs may differ."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections
import numpy as np

from pseudovideo.tasks import first_stage

# Sections whose fields may change after training: they alter no weights.
AFTER_TRAINING = ("evaluate", "sampler")

# Fields that may change when a run is resumed: they do not alter its weights.
RESUMABLE = (
  "title",
  "data.accept_changed",
  "task.start",
  "model.remat",
  "train.log_every",
  "train.eval_every",
  "train.save_every",
  "train.wait_for_saves",
  "train.keep",
  "train.keep_every",
  "train.grid",
  "train.fsdp",
  "train.skip_bad_steps",
  "train.start_from",
  "tokenizer.workdir",
  "tokenizer.tokens",
  "autoencoder.workdir",
)
# Fields whose None stands for a value that follows from the data.
FROM_DATA = ("model.channels", "model.image_channels")


def plain(value: Any) -> Any:
  """A ConfigDict (or nested mapping) as nested dicts of plain values."""
  if isinstance(value, Mapping | ml_collections.ConfigDict):
    return {name: plain(part) for name, part in value.items()}
  return value.item() if isinstance(value, np.generic) else value


def to_json(raw: Mapping[str, Any]) -> dict[str, Any]:
  """The config as JSON knows it: tuples become lists."""
  return json.loads(json.dumps(plain(raw)))


def flatten(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """{'train': {'steps': 3}} -> {'train.steps': 3}."""
  flat: dict[str, Any] = {}
  for key, value in raw.items():
    if isinstance(value, Mapping):
      flat |= flatten(value, f"{prefix}{key}.")
    else:
      flat[prefix + key] = value
  return flat


def differences(
  saved: Mapping[str, Any], given: Mapping[str, Any]
) -> list[str]:
  """The differences of `changes`, without the names of the fields."""
  return list(changes(saved, given).values())


def changes(
  saved: Mapping[str, Any],
  given: Mapping[str, Any],
  free: Iterable[str] = (),
) -> dict[str, str]:
  """The fields in which two configs differ, except fields that may change.

  A run with a constant learning rate may also be made longer or shorter. The
  tokenizer or autoencoder of the given config is compared only if it has been
  looked up.

  Args:
    saved: config of a run.
    given: config that it is compared with.
    free: further fields that may change.

  Returns:
    Field -> a sentence such as "train.seed is 1, was 0".
  """
  saved, given = flatten(to_json(saved)), flatten(to_json(given))
  free = {*RESUMABLE, *free}
  if saved.get("optimizer.schedule") == "constant":
    free.add("train.steps")
  unread = list(AFTER_TRAINING)
  unread += [
    name for name in first_stage.KINDS if not given.get(f"{name}.hash")
  ]
  return {
    name: f"{name} is {_said(given, name)}, was {_said(saved, name)}"
    for name in sorted(saved.keys() | given.keys())
    if not _same(name, saved.get(name), given.get(name))
    and name not in free
    and name.partition(".")[0] not in unread
    and not _is_newer_inside(name, saved, given)
  }


def _is_newer_inside(
  name: str, saved: Mapping[str, Any], given: Mapping[str, Any]
) -> bool:
  """True for a field of a first stage's config that only one version knows.

  Its weights, whose hashes are compared, are the same; a field that is newer
  than one of the configs stands for what was done before there was a choice.
  """
  inside = any(name.startswith(f"{kind}.config.") for kind in first_stage.KINDS)
  return inside and not (name in saved and name in given)


def _same(name: str, saved: Any, given: Any) -> bool:
  return saved == given or (name in FROM_DATA and None in (saved, given))


def _said(flat: Mapping[str, Any], name: str) -> str:
  return repr(flat[name]) if name in flat else "absent"

"""results.json: numbers together with where they come from.

A file holds the scores of one run (`metrics`, from `evaluation.scoring.score`)
and everything that a reader needs to judge or repeat them. It is strict JSON,
without NaN or infinities, is written whole or not at all, and a file that
lacks a field is refused, so that no table shows a number without provenance.
"""

import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

import pseudovideo
from pseudovideo import errors, shapes
from pseudovideo.files import atomic, untrusted

# Every field of a record, its type and its meaning.
FIELDS = {
  "metrics": (dict, "row (`generated`, `real`) -> metric name -> its record"),
  "seeds": (dict, "purpose, such as `train` or `sample`, -> seed"),
  "ema": (bool, "whether averaged weights were sampled from"),
  "step": (int, "optimizer steps of the checkpoint"),
  "images_seen": (int, "training images up to that step, with repetitions"),
  "num_parameters": (int, "numbers that were trained"),
  "network_evaluations": (int, "network evaluations per sample"),
  "wall_seconds": (dict, "stage, such as `train` or `sample`, -> seconds"),
  "config": (dict, "the config of the run"),
  "provenance": (dict, "`provenance()` on the machine that computed it"),
}
METRIC_FIELDS = {
  "name": (str, "such as `FD-digitscls`"),
  "value": (float, "the score"),
  "definition": (str, "one exact sentence"),
  "num_samples": (int, "images that were scored"),
  "reference_split": (str | None, "what they were compared with, if anything"),
  "reference_size": (int | None, "and how many images that is"),
}
PROVENANCE_FIELDS = {
  "device": (dict, "platform, kind and number"),
  "host": (dict, "operating system, architecture and number of cores"),
  "packages": (dict, "package -> version"),
  "python": (str, "its version"),
  "git_commit": (str | None, "None outside a git checkout"),
  "git_changed": (bool | None, "whether tracked files differed from it"),
  "date": (str, "UTC, ISO 8601"),
}
SIZE_LIMIT = 2**24  # bytes of a file that is read; a long one has 30,000
PACKAGES = (
  "jax",
  "jaxlib",
  "flax",
  "optax",
  "orbax-checkpoint",
  "numpy",
)


def write(path: str | os.PathLike, record: Mapping[str, Any]) -> None:
  """Writes a record, replacing the file in one step.

  Args:
    path: path of the file; its folder is created.
    record: all of `FIELDS`, and any others; values are JSON's types and numpy
      numbers.

  Raises:
    UserError: a field is missing or of another type, or a number is not
      finite.
  """
  record = _plain(record, "")
  _validate(record)
  write_json(path, record)


def write_json(path: str | os.PathLike, record: Mapping[str, Any]) -> None:
  """Writes strict JSON, replacing the file in one step.

  Args:
    path: path of the file; its folder is created.
    record: a mapping; values are JSON's types and numpy numbers.

  Raises:
    UserError: a number is not finite, or a value is of another type.
  """
  text = json.dumps(_plain(record, ""), indent=2, allow_nan=False) + "\n"
  with atomic.replacing(pathlib.Path(path)) as part:
    part.write_text(text, encoding="utf-8")


def read(path: str | os.PathLike) -> dict[str, Any]:
  """Reads a record that `write` could have written.

  Raises:
    UserError: there is no such file, it is not strict JSON, or a field is
      missing or of another type.
  """
  try:
    with untrusted.opened(path) as file:
      content = file.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
      raise ValueError(f"it has more than {SIZE_LIMIT:,} bytes")
    record = json.loads(
      content.decode(), parse_constant=_constant, parse_float=_finite
    )
  except OSError as error:
    raise errors.UserError(
      f"The results {path} cannot be read ({error.strerror}); evaluate the run "
      "to write them."
    ) from error
  except (ValueError, RecursionError) as error:
    raise errors.UserError(
      f"The results {path} are not valid ({untrusted.reason(error)}); evaluate "
      "the run again."
    ) from error
  try:
    _validate(record)
  except (errors.UserError, RecursionError) as error:
    raise errors.UserError(f"In {path}: {untrusted.reason(error)}.") from error
  return record


def origin(run: Any) -> dict[str, Any]:
  """Collects the fields that say which model was scored.

  Args:
    run: a `runs.Run`, whose averaged weights were used.
  """
  return {
    "ema": True,
    "step": run.step,
    "images_seen": run.step * run.config.train.batch_size,
    "num_parameters": shapes.count_parameters(run.params),
    "data": {
      "name": run.image_set.name,
      "source": run.image_set.source,
      "fingerprint": run.image_set.fingerprint,
      "held_out": len(run.image_set.test_images),
      "trained_on": run.record and run.record["fingerprint"],
      "earlier": run.record["earlier"] if run.record else [],
    },
    "config": run.config.raw,
    "provenance": provenance(),
  }


def provenance() -> dict[str, Any]:
  """Collects devices, versions, commit and date (`PROVENANCE_FIELDS`).

  It names no user, host or folder.
  """
  device = jax.devices()[0]
  commit, changed = _git()
  return {
    "device": {
      "platform": device.platform,
      "kind": device.device_kind,
      "count": jax.device_count(),
      "processes": jax.process_count(),
    },
    "host": {
      "system": platform.system(),
      "machine": platform.machine(),
      "cores": os.cpu_count(),
    },
    "packages": {
      # It may run from a checkout, without having been installed.
      "pseudovideo": pseudovideo.__version__,
      **{name: importlib.metadata.version(name) for name in PACKAGES},
    },
    "python": platform.python_version(),
    "git_commit": commit,
    "git_changed": changed,
    "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
  }


def _git() -> tuple[str | None, bool | None]:
  """The commit that this package is at, and whether it was changed since."""
  here = pathlib.Path(__file__).resolve()

  def git(*arguments):
    return subprocess.run(
      ["git", *arguments],
      cwd=here.parent,
      capture_output=True,
      text=True,
      check=True,
      timeout=60,
    ).stdout.strip()

  try:
    # An installed package may lie in a folder of somebody else's checkout.
    git("ls-files", "--error-unmatch", here.name)
    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
  except (OSError, subprocess.SubprocessError):
    return None, None
  return commit, bool(changed)


def _constant(name: str):
  raise ValueError(f"it holds {name}")


def _finite(text: str) -> float:
  if not math.isfinite(number := float(text)):
    raise ValueError(f"it holds {text[:80]}, which is too large")
  return number


def _plain(value: Any, where: str) -> Any:
  """Converts a value to plain Python types; `UserError` where it fails."""
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, float) and not math.isfinite(value):
    raise errors.UserError(
      f"The result {where!r} is {value}, which cannot be published; look for "
      "the first non-finite value in the training log."
    )
  if value is None or isinstance(value, str | bool | int | float):
    return value
  if isinstance(value, Mapping):
    return {
      str(key): _plain(entry, f"{where}.{key}" if where else str(key))
      for key, entry in value.items()
    }
  if isinstance(value, list | tuple):
    return [
      _plain(entry, f"{where}[{index}]") for index, entry in enumerate(value)
    ]
  raise errors.UserError(
    f"The result {where!r} is a {type(value).__name__}, which JSON cannot "
    "hold; give numbers, strings, lists or mappings."
  )


def _validate(record: Any) -> None:
  _check_fields(record, FIELDS, "results")
  _check_fields(record["provenance"], PROVENANCE_FIELDS, "provenance")
  for row, metrics in record["metrics"].items():
    if not isinstance(metrics, dict):
      raise errors.UserError(f"The row {row!r} of the metrics is no mapping.")
    for name, metric in metrics.items():
      _check_fields(metric, METRIC_FIELDS, f"metrics.{row}.{name}")


def _check_fields(record: Any, fields: Mapping[str, Any], where: str) -> None:
  if not isinstance(record, dict):
    raise errors.UserError(f"{where!r} must be a mapping; got {record!r}.")
  for name, (kind, meaning) in fields.items():
    if name not in record:
      raise errors.UserError(
        f"{where!r} lacks the field {name!r} ({meaning}); add it."
      )
    value = record[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float:
      fits = number
    elif kind is int or kind == int | None:
      fits = isinstance(value, kind) and (number or value is None)
    else:
      fits = isinstance(value, kind)
    if not fits:
      raise errors.UserError(
        f"The field {name!r} of {where!r} ({meaning}) must be "
        f"{getattr(kind, '__name__', kind)}; got {value!r}."
      )

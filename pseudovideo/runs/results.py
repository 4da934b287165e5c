"""results.json: numbers together with where they come from.

A file holds the scores of one run (`metrics`, from `evaluation.scoring.score`)
and everything that a reader needs to judge or repeat them. It is strict JSON,
without NaN or infinities, is written whole or not at all, and a file that
lacks a field is refused, so that no table shows a number without provenance.
"""

import contextlib
import datetime
import functools
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

import pseudovideo
from pseudovideo import errors, shapes
from pseudovideo.files import atomic, untrusted
from pseudovideo.runs import record_fields

LARGEST = 1e100  # number that is read; sums of squares are finite
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
    record: all of `record_fields.FIELDS`, and any others; values are JSON's
      types and numpy numbers.

  Raises:
    UserError: a field is missing or of another type, or a number is not
      finite.
  """
  record = _plain(record, "")
  record_fields.validate(record)
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
  record = read_json(path)
  try:
    record_fields.validate(record)
  except (errors.UserError, RecursionError) as error:
    raise errors.UserError(f"In {path}: {untrusted.reason(error)}.") from error
  return record


def read_json(path: str | os.PathLike) -> Any:
  """Reads strict JSON that `write_json` could have written.

  Raises:
    UserError: there is no such file, or it is not strict JSON.
  """
  try:
    with untrusted.opened(path) as file:
      content = file.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
      raise ValueError(f"it has more than {SIZE_LIMIT:,} bytes")
    return json.loads(
      content.decode("utf-8-sig"),
      parse_constant=_constant,
      parse_float=functools.partial(_number, float),
      parse_int=functools.partial(_number, int),
    )
  except OSError as error:
    raise errors.UserError(
      f"The results {path} cannot be read ({untrusted.reason(error)}); make "
      "them again."
    ) from error
  except (ValueError, RecursionError) as error:
    raise errors.UserError(
      f"The results {path} are not valid ({untrusted.reason(error)}); make "
      "them again."
    ) from error


@contextlib.contextmanager
def from_file(path: str | os.PathLike) -> Iterator[None]:
  """Within it, what is missing in a file's content is a `UserError`.

  Args:
    path: path of the file, whose fields are not checked one by one.
  """
  try:
    yield
  except errors.UserError:
    raise
  except (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
  ) as error:
    raise errors.UserError(
      f"The results {path} lack something, or hold it in another form "
      f"({type(error).__name__}: {untrusted.reason(error)}); make them again."
    ) from error


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
  """Collects devices, versions, commit and date.

  These are `record_fields.PROVENANCE_FIELDS`. It names no user, host or folder.
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


def _number(kind: Callable[[str], int | float], text: str) -> int | float:
  number = kind(text)
  if not abs(number) <= LARGEST:
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

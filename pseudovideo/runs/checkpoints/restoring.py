"""Chooses a good step, and gives its arrays the form that is asked for."""

import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from pseudovideo import errors
from pseudovideo.devices import sharding
from pseudovideo.runs.checkpoints import entries, reading

FOLDER = "checkpoints"  # inside a workdir

FROZEN = "extra.frozen."
"""Names of arrays that are made when a run begins, and never change."""

Select = Callable[[dict[str, Any]], Iterable[str]]


def steps_in(directory: pathlib.Path) -> list[int]:
  """The finished steps in `directory`, ascending; contents not checked.

  Raises:
    UserError: this user may not read the directory.
  """
  try:
    if not directory.is_dir():
      return []
    names = [path.name for path in directory.iterdir() if path.is_dir()]
  except PermissionError as error:
    raise errors.UserError(
      f"The folder {directory} may not be read by this user; change its "
      "permissions."
    ) from error
  return sorted(int(name) for name in names if name.isdecimal())


def read_good(
  directory: pathlib.Path, step: int | None, fallback: bool, select: Select
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[int]] | None:
  """Reads `step`, or the newest step that is good.

  Args:
    directory: directory of the steps' directories.
    step: the only step to read; None takes the newest.
    fallback: whether to try older steps when the newest is damaged.
    select: function from the manifest to the names of the arrays to read.

  Returns:
    The manifest, {name: array}, the newer steps that are damaged; None when
    there is no step at all.

  Raises:
    UserError: `step` does not exist; it is damaged; or all are.
  """
  steps = steps_in(directory)
  if step is not None and step not in steps:
    raise errors.UserError(
      f"There is no checkpoint of step {step} in {directory}; "
      f"{_there_are(steps)}."
    )
  candidates = steps[::-1] if step is None else [step]
  faults: dict[int, reading.Damaged] = {}
  gone = False
  for candidate in candidates if fallback else candidates[:1]:
    path = directory / str(candidate)
    try:
      manifest = reading.read_manifest(path)
      names = select(manifest)
      wanted = {name: manifest["arrays"][name] for name in names}
      return manifest, reading.read_arrays(path, wanted), list(faults)
    except reading.Damaged as fault:
      if not path.is_dir():
        gone = True
        continue
      faults[candidate] = fault
      logging.warning("Checkpoint %s is damaged: %s.", path, fault)
  if gone and step is None:
    # The run that writes here has deleted it, and has newer ones.
    return read_good(directory, step, fallback, select)
  if not faults:
    return None
  others = [other for other in steps if other not in faults]
  raise errors.UserError(
    f"No undamaged checkpoint was found in {directory}: "
    + "; ".join(f"step {bad}: {fault}" for bad, fault in faults.items())
    + f". Of the steps not tried, {_there_are(others)}; name one, or move "
    "the damaged ones away to start anew."
  ) from next(iter(faults.values()))


def _there_are(steps: list[int]) -> str:
  if not steps:
    return "there is none"
  named = ", ".join(f"step {step}" for step in steps)
  return f"there {'is' if len(steps) == 1 else 'are'} {named}"


def _kind(entry: Mapping[str, Any]) -> tuple[int, str]:
  return len(entry["shape"]), entry["dtype"]


def _text(entry: Mapping[str, Any]) -> str:
  return f"({', '.join(map(str, entry['shape']))}) {entry['dtype']}"


def check_fit(
  manifest: Mapping[str, Any],
  like: Mapping[str, Any],
  *,
  whole: bool = True,
) -> None:
  """Compares the names, shapes and dtypes of a manifest with a state's.

  Arrays of `FROZEN` may have other lengths: they follow from the data that the
  run began with.

  Args:
    manifest: manifest of a checkpoint.
    like: a state.
    whole: whether it is the whole state, and not some parts, to which the
      comparison is then restricted.

  Raises:
    UserError: they differ; the message lists up to eight differences.
  """
  held = {
    name: entry
    for name, entry in manifest["arrays"].items()
    if whole or _is_part(entry["path"], like)
  }
  expected = {
    name: entries.describe(leaf)
    for name, (_, leaf) in entries.named_leaves(dict(like)).items()
  }
  differences = []
  for name in sorted(held.keys() | expected.keys()):
    left = f"{name} {_text(held[name])}" if name in held else f"no {name}"
    right = _text(expected[name]) if name in expected else "no such array"
    fits = left == f"{name} {right}"
    if name.startswith(FROZEN) and name in held and name in expected:
      fits = _kind(held[name]) == _kind(expected[name])
    if not fits:
      differences.append(f"it holds {left}, the model expects {right}")
  if differences:
    more = len(differences) - 8
    differences = differences[:8] + [f"and {more} more"] * (more > 0)
    raise errors.UserError(
      f"The checkpoint of step {manifest['step']} does not fit the model: "
      f"{'; '.join(differences)}. Use the config that the checkpoint was "
      "written with, or another workdir."
    )


def _is_part(path: Sequence[str], like: Mapping[str, Any]) -> bool:
  """True if the array at a path is in a part that `like` has, too."""
  part = like.get(path[0])
  if part is None or path[0] != "extra":
    return part is not None
  return path[1] in part


def _typed(array: Any, entry: Mapping[str, Any]) -> Any:
  if "impl" not in entry:
    return array
  return jax.random.wrap_key_data(array, impl=entry["impl"])


def place(array: np.ndarray, entry: Mapping[str, Any], like: Any) -> Any:
  """Puts an array on the devices of `like`; numpy stays numpy.

  Args:
    array: array as read from disk.
    entry: entry of the array in the manifest.
    like: a numpy array, a jax array, or a ShapeDtypeStruct. If it has no
      sharding, or is not committed to its device, the result is not committed
      either.
  """
  if isinstance(like, np.ndarray | np.generic):
    return array
  where = like.sharding if getattr(like, "committed", True) else None
  if isinstance(where, jax.sharding.NamedSharding):
    return _typed(sharding.put(array, where), entry)
  return _typed(jax.device_put(array, where), entry)


class Facts(NamedTuple):
  """What a checkpoint says besides its arrays.

  Attributes:
    step: number of updates done.
    config: the config of the run, as JSON.
    data: what it was trained on, see `runs.trained_on`; None if it is older.
    progress: see `training.recorder`; None if it is older.
  """

  step: int
  config: dict[str, Any]
  data: dict[str, Any] | None
  progress: dict[str, Any] | None


def facts(workdir: str | os.PathLike, step: int | None = None) -> Facts:
  """Reads what a checkpoint says besides its arrays.

  Args:
    workdir: the run's directory; its checkpoints are in `FOLDER` below it.
    step: step to read; None takes the newest.

  Raises:
    UserError: no checkpoint, no such step, or a damaged manifest.
  """
  return _facts(_read(workdir, step, lambda manifest: [])[0])


def _facts(manifest: Mapping[str, Any]) -> Facts:
  return Facts(
    manifest["step"],
    manifest["config"],
    manifest.get("data"),
    manifest.get("progress"),
  )


def _read(
  workdir: str | os.PathLike, step: int | None, select: Select
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """The manifest and arrays of the newest good checkpoint, or of `step`.

  Raises:
    UserError: see `read_good`; or there is no checkpoint.
  """
  directory = pathlib.Path(workdir).resolve() / FOLDER
  found = read_good(directory, step, True, select)
  if found is None:
    raise errors.UserError(
      f"There is no checkpoint in {directory}; give the workdir of a run that "
      "was trained, or train one with --mode=train --config=FILE.py."
    )
  manifest, arrays, _ = found
  return manifest, arrays


def load_like(
  workdir: str | os.PathLike, like: Mapping[str, Any]
) -> tuple[int, dict[str, Any]]:
  """Reads some parts of the newest good checkpoint, in the form of others.

  Args:
    workdir: the run's directory.
    like: {part: pytree of arrays} with the structure, shapes, dtypes and
      shardings that are wanted.

  Returns:
    The step and the parts.

  Raises:
    UserError: no checkpoint, damaged arrays, or arrays that do not fit.
  """
  leaves, structure = jax.tree.flatten(dict(like))

  def select(manifest: dict[str, Any]) -> list[str]:
    check_fit(manifest, like, whole=False)
    return list(entries.named_leaves(dict(like)))

  manifest, arrays = _read(workdir, None, select)
  placed = [
    place(array, manifest["arrays"][name], leaf)
    for (name, array), leaf in zip(arrays.items(), leaves, strict=True)
  ]
  return manifest["step"], jax.tree.unflatten(structure, placed)


def load(
  workdir: str | os.PathLike,
  step: int | None = None,
  parts: Iterable[str] = ("ema", "extra"),
) -> tuple[int, dict[str, Any], dict[str, Any]]:
  """Reads some parts of a checkpoint, without knowing the model.

  Args:
    workdir: the run's directory; its checkpoints are in `FOLDER` below it.
    step: step to read; None takes the newest that is good.
    parts: names of parts of the state; other parts are not read.

  Returns:
    The step; {part: nested dicts of numpy arrays (typed keys: jax arrays)},
    where lists and tuples have become dicts with keys "0", "1", ...; the
    config that the run was trained with.

  Raises:
    UserError: no checkpoint, no such step or part, or damaged arrays.
  """
  found, tree = load_with_facts(workdir, step, parts)
  return found.step, tree, found.config


def load_with_facts(
  workdir: str | os.PathLike,
  step: int | None = None,
  parts: Iterable[str] = ("ema", "extra"),
) -> tuple[Facts, dict[str, Any]]:
  """Reads as `load` does; returns all that the checkpoint says, and the parts.

  Raises:
    UserError: see `load`.
  """
  parts = list(parts)

  def select(manifest: dict[str, Any]) -> list[str]:
    for part in parts:
      if part not in manifest["parts"]:
        raise errors.unknown("part of the checkpoint", part, manifest["parts"])
    arrays = manifest["arrays"]
    return [name for name in arrays if arrays[name]["path"][0] in parts]

  manifest, arrays = _read(workdir, step, select)
  held = manifest["arrays"]
  tree = entries.nest(
    (held[name]["path"], _typed(array, held[name]))
    for name, array in arrays.items()
  )
  return _facts(manifest), {part: tree.get(part, {}) for part in parts}

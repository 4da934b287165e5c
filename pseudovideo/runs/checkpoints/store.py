"""The checkpoints of one run: saved in the background, pruned, restored.

The first process writes, and all processes read: they must see the same folder.
"""

import errno
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Any

import jax
import numpy as np
from absl import logging

from pseudovideo import errors
from pseudovideo.devices import distributed
from pseudovideo.runs.checkpoints import (
  entries,
  reading,
  restoring,
  writing,
)

DELETING = "deleting-"


class Checkpoints:
  """The checkpoints in one directory, of which this run is the writer.

  A step is written beside its final name and renamed at the end, and renamed
  before it is deleted: whenever the process is killed, every directory named
  after a step is whole. Errors of a save in the background are raised by the
  next call of any method but `steps` and `latest_step`.

  Args:
    directory: created when missing; usually `workdir / FOLDER`.
    keep: number of the newest steps that stay, at least 1.
    keep_every: steps divisible by it stay as well; None or 0 for none.
    cleanup: whether to remove what a killed writer left, and after a fallback
      to rename the damaged steps N to `damaged-N`. False for a second process
      that only restores.

  Raises:
    UserError: a value out of range, or a directory that cannot be created.
  """

  def __init__(
    self,
    directory: pathlib.Path | str,
    *,
    keep: int = 3,
    keep_every: int | None = None,
    cleanup: bool = True,
  ):
    for name, value in (("keep", keep), ("keep_every", keep_every or 1)):
      if value < 1:
        raise errors.UserError(
          f"{name} is {value}; it must be an integer of at least 1."
        )
    self._directory = pathlib.Path(directory).resolve()
    self._keep, self._keep_every = keep, keep_every
    self._primary = jax.process_index() == 0  # the one that moves directories
    self._cleanup = cleanup and self._primary
    self._thread = futures.ThreadPoolExecutor(1, "checkpoints")
    self._pending: futures.Future | None = None
    try:
      self._directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise errors.UserError(
        f"The checkpoint directory {self._directory} cannot be created "
        f"({error}); choose another workdir."
      ) from error
    if self._cleanup:
      self._remove(f"*{writing.TEMPORARY}*")
      self._remove(f"{DELETING}*")

  def steps(self) -> list[int]:
    """The finished steps, ascending; their contents are not checked."""
    return restoring.steps_in(self._directory)

  def latest_step(self) -> int | None:
    """The newest finished step, or None."""
    return max(self.steps(), default=None)

  def save(
    self,
    step: int,
    state: Mapping[str, Any],
    *,
    config: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    progress: Mapping[str, Any] | None = None,
    wait: bool = False,
  ) -> None:
    """Copies the state to the host, returns, and writes it in the background.

    The caller may donate the state's buffers as soon as this returns. A step
    that is already there, good and the same is left alone; a damaged one is
    first renamed to `damaged-N`, one with other arrays to `replaced-N`. A step
    counts as saved, and older ones are deleted, when it was read back.

    Args:
      step: number of the step, at least 0.
      state: {part: pytree of jax or numpy arrays}; jax arrays may be sharded
        over the devices of all processes, and may be typed random keys.
      config: mapping that JSON can hold; tuples come back as lists.
      data: what the run is trained on, likewise.
      progress: what a resumed run continues besides the state, likewise.
      wait: return only when the checkpoint is on disk.

    Raises:
      UserError: this save (with `wait`) or the one before it failed.
      RunError: a number of the state is not finite; nothing is written.
      ValueError: a leaf that is not an array.
      TypeError: a config that JSON cannot hold.
    """
    self.wait()
    arrays, copies = entries.copy_to_host(state)
    for name, copy in copies.items():
      if not entries.is_finite(copy):
        raise errors.RunError(f"{name} is not finite at step {step}")
    if not self._primary or self._is_saved(step, arrays, copies):
      return
    manifest = {
      "step": int(step),
      "config": json.loads(json.dumps(config)),
      "data": json.loads(json.dumps(data)),
      "progress": json.loads(json.dumps(progress)),
      "parts": list(state),
      "arrays": arrays,
    }
    self._pending = self._thread.submit(self._write, manifest, copies)
    if wait:
      self.wait()

  def restore(
    self,
    step: int | None = None,
    *,
    like: Mapping[str, Any],
    fallback: bool = True,
  ) -> tuple[int, dict[str, Any], dict[str, Any]] | None:
    """Restores the whole state, bit for bit, every array checked.

    Args:
      step: the only step to read; None takes the newest that is good.
      like: a state with the structure, shapes, dtypes and shardings that are
        wanted, concrete or abstract; the checkpoint may have been saved on
        other devices.
      fallback: whether an older step may be taken when the newest is damaged.
        The damaged steps are then renamed to `damaged-N`, and may be saved
        again.

    Returns:
      The step, the state and the config; None when there is no checkpoint.

    Raises:
      UserError: no such step; damaged; or it does not fit `like`.
    """
    self.wait()

    def select(manifest: dict[str, Any]) -> list[str]:
      restoring.check_fit(manifest, like)
      return list(entries.named_leaves(dict(like)))

    found = restoring.read_good(self._directory, step, fallback, select)
    distributed.agree(
      f"newest good checkpoint in {self._directory}",
      -1 if found is None else found[0]["step"],
    )
    if found is None:
      return None
    manifest, arrays, damaged = found
    for bad in damaged if self._cleanup else ():
      self._set_aside(bad)
    if damaged:
      logging.warning("Step %d is restored instead.", manifest["step"])
    leaves, structure = jax.tree.flatten(dict(like))
    held = manifest["arrays"]
    placed = [
      restoring.place(array, held[name], leaf)
      for (name, array), leaf in zip(arrays.items(), leaves, strict=True)
    ]
    state = jax.tree.unflatten(structure, placed)
    return manifest["step"], state, manifest["config"]

  def wait(self) -> None:
    """Returns when the last save is on disk.

    Raises:
      UserError: the save failed; the message says why.
    """
    pending, self._pending = self._pending, None
    if pending is not None:
      pending.result()

  def close(self) -> None:
    """Waits for the last save and ends the background thread."""
    try:
      self.wait()
    finally:
      self._thread.shutdown()

  def _write(self, manifest: dict[str, Any], copies: dict[str, Any]) -> None:
    step = manifest["step"]
    try:
      writing.write(self._directory / str(step), manifest, copies)
    except Exception as error:
      self._remove(f"{step}{writing.TEMPORARY}*")
      if isinstance(error, reading.Damaged):
        self._delete(step)
      full = "the disk is full; " if _is_full(error) else ""
      last = self.latest_step()
      then = "." if last is None else f"; it resumes from step {last}."
      raise errors.UserError(
        f"Step {step} could not be saved in {self._directory}: {full}"
        f"{_last_cause(error)}. The earlier checkpoints are untouched; fix "
        f"this and start again{then}"
      ) from error
    self._prune()

  def _is_saved(
    self,
    step: int,
    arrays: Mapping[str, Any],
    copies: Mapping[str, np.ndarray],
  ) -> bool:
    """True if the step is there, good, and these arrays; else it is moved."""
    if step not in self.steps():
      return False
    path = self._directory / str(step)
    try:
      held = reading.read_manifest(path)["arrays"]
      reading.read_arrays(path, held)
    except reading.Damaged as fault:
      logging.warning("Checkpoint %s is damaged: %s.", path, fault)
      self._set_aside(step)
      return False
    hashes = {name: entry["sha256"] for name, entry in held.items()}
    if hashes == entries.hashes(arrays, copies):
      return True
    logging.warning("Checkpoint %s is another run's.", path)
    self._set_aside(step, "replaced")
    return False

  def _prune(self) -> None:
    for step in self.steps()[: -self._keep]:
      if not self._keep_every or step % self._keep_every:
        self._delete(step)

  def _delete(self, step: int) -> None:
    path = self._directory / f"{DELETING}{step}"
    (self._directory / str(step)).rename(path)
    shutil.rmtree(path, ignore_errors=True)

  def _remove(self, pattern: str) -> None:
    for path in self._directory.glob(pattern):
      shutil.rmtree(path, ignore_errors=True)

  def _set_aside(self, step: int, why: str = "damaged") -> None:
    name = aside = f"{why}-{step}"
    number = 1
    while (self._directory / aside).exists():
      number += 1
      aside = f"{name}-{number}"
    (self._directory / str(step)).rename(self._directory / aside)
    logging.warning("Step %d was renamed to %s.", step, aside)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
  while error is not None:
    yield error
    error = error.__cause__ or error.__context__


def _is_full(error: Exception) -> bool:
  full = (errno.ENOSPC, errno.EDQUOT)
  texts = ("No space left on device", "Disk quota exceeded")
  return any(
    getattr(cause, "errno", None) in full
    or any(text in str(cause) for text in texts)
    for cause in _chain(error)
  )


def _last_cause(error: Exception) -> str:
  *_, cause = _chain(error)
  text = str(cause).split(" [tensorstore_spec")[0]
  return f"{type(cause).__name__}: {text}"

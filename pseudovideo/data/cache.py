"""Arrays on disk: written once, memory-mapped, checked at load.

Decoded image sets are kept here, and the features that networks give for them.
A set is a folder `<name>-<key>` below `atomic.cache_dir(kind)`:

  <array>.npy   the arrays
  meta.json     the SHA-256 of every array file, the fingerprint of the set,
                further facts from its writer, and a SHA-256 of all these facts

The key is a hash of what the set was made from, so changed sources give
another folder. A folder is written under a temporary name, flushed to disk and
renamed, so a killed or a concurrent writer never leaves half a set under the
final name. A damaged folder is reported, thrown away and written again. Where
nothing can be written, small sets stay in memory.

`write` and `read` are for folders that the user names.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from absl import logging

from pseudovideo import errors
from pseudovideo.data import copies
from pseudovideo.files import atomic, leftovers, unkept, untrusted

# Raise it when the layout, or the decoding of any set, changes.
VERSION = 1
MEMORY_LIMIT = 2**30
"""Bytes of the largest set that stays in memory where it cannot be kept."""

_LENGTH = 80  # characters of a folder's name, without the key

NewArray = Callable[..., np.ndarray]


class DamagedError(Exception):
  """A folder whose contents are not what was written."""


class UnusableError(errors.UserError):
  """A folder that this user may not read or write, or that has no room."""

  def __init__(self, folder: pathlib.Path, error: OSError):
    super().__init__(
      f"Arrays cannot be kept in {folder} ({unkept.reason(folder, error)}); "
      "make room there, or use another folder that you may read and write (for "
      "caches, set XDG_CACHE_HOME to a folder with room)."
    )
    self.folder, self.error = folder, error


def load(
  name: str,
  made_from: Any,
  build: Callable[[NewArray], None],
  *,
  kind: str = "data",
  making: str = "Decoding",
  about: Mapping[str, str] | None = None,
) -> tuple[dict[str, np.ndarray], str]:
  """Loads the arrays of a set, from the cache where it holds them intact.

  Args:
    name: beginning of the folder's name, for people.
    made_from: anything that JSON can write and that changes whenever the
      arrays would.
    build: function that makes the arrays: it is called with
      `new_array(name, shape, dtype)`, which returns a writable array on disk,
      and fills each of them.
    kind: name of the cache's folder.
    making: word for the work of `build` in the log.
    about: facts of `copies.about`; of each source the newest few sets stay.

  Returns:
    Read-only arrays by name, memory-mapped where they could be kept, and their
    fingerprint.

  Raises:
    UserError: the cache cannot be used, and the set has more bytes than
      `MEMORY_LIMIT`.
  """
  key = _hash({"version": VERSION, "made_from": made_from})[:20]
  # Names of data sets have paths in them.
  name = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[-_LENGTH:]
  folder = atomic.cache_dir(kind) / f"{name}-{key}"
  try:
    kept = _kept(folder, key)
    if kept is None:
      logging.info("%s %s once, into %s", making, name, folder)
    found = kept or _make(folder, build, key)
  except UnusableError as refusal:
    return _in_memory(build, refusal)
  copies.note_use(folder, about)
  if about and kept is None:
    copies.prune(folder, about["source"])
  return found


def _kept(
  folder: pathlib.Path, key: str
) -> tuple[dict[str, np.ndarray], str] | None:
  """The arrays of a folder; None if there is none, or none any more."""
  if not os.path.lexists(folder):
    return None
  try:
    arrays, facts = read(folder)
    if facts["about"].get("key", key) != key:
      raise DamagedError("meta.json is of another set")
  except DamagedError as damage:
    if os.path.lexists(folder):  # Else another process has removed it.
      logging.warning(
        "What is cached in %s is damaged (%s); it is made again.",
        folder,
        damage,
      )
      _discard(folder)
    return None
  return arrays, facts["fingerprint"]


def _make(
  folder: pathlib.Path, build: Callable[[NewArray], None], key: str
) -> tuple[dict[str, np.ndarray], str]:
  with _temporary(folder) as temporary:
    leftovers.remove(folder.parent, older=True)
    _write(temporary, build, {"key": key})
    # Opened before the renaming: whatever other processes then do with the
    # folder, these arrays stay.
    arrays, facts = _read_new(temporary)
    # The other writer, if there was one, wrote the same.
    with contextlib.suppress(FileExistsError):
      _rename(temporary, folder)
  return arrays, facts["fingerprint"]


def _in_memory(
  build: Callable[[NewArray], None], refusal: UnusableError
) -> tuple[dict[str, np.ndarray], str]:
  """Makes the arrays of a set that cannot be kept, if they are few bytes."""
  arrays: dict[str, np.ndarray] = {}

  def new_array(
    name: str, shape: tuple[int, ...], dtype: Any = np.uint8
  ) -> np.ndarray:
    size = sum(array.nbytes for array in arrays.values())
    if size + math.prod(shape) * np.dtype(dtype).itemsize > MEMORY_LIMIT:
      raise refusal
    arrays[name] = np.zeros(shape, dtype)
    return arrays[name]

  unkept.warn("Arrays", refusal.folder, refusal.error, "they stay in memory")
  build(new_array)
  for array in arrays.values():
    array.flags.writeable = False
  return arrays, fingerprint(arrays)


def write(
  folder: pathlib.Path,
  build: Callable[[NewArray], None],
  about: Mapping[str, Any],
) -> None:
  """Writes a folder of arrays, whole or not at all.

  Args:
    folder: path of a folder that does not exist, or is empty.
    build: function that makes the arrays, see `load`.
    about: facts that `read` will return; anything that JSON can write.

  Raises:
    FileExistsError: the folder is no longer empty.
    UserError: the folder cannot be written.
  """
  with _temporary(folder) as temporary:
    _write(temporary, build, about)
    _read_new(temporary)
    _rename(temporary, folder)


def read(folder: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Reads the arrays of a folder, every byte compared with its checksum.

  Returns:
    Read-only memory-mapped arrays by name, and the facts: `fingerprint`,
    `files`, the SHA-256 of each, and `about`.

  Raises:
    DamagedError: something is not as it was written; says what.
    UnusableError: this user may not read it.
  """
  facts = {"about": {}, **_read_facts(folder / "meta.json")}
  _check_facts(facts)
  arrays = {
    pathlib.Path(file).stem: _read_array(folder / file, digest)
    for file, digest in facts["files"].items()
  }
  return arrays, facts


def fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
  """SHA-256 (hexadecimal) of the names, types, shapes and contents."""
  facts = {
    name: [
      str(array.dtype),
      list(array.shape),
      hashlib.sha256(np.ascontiguousarray(array).data).hexdigest(),
    ]
    for name, array in arrays.items()
  }
  return _hash(facts)


def _read_facts(path: pathlib.Path) -> dict[str, Any]:
  try:
    with untrusted.opened(path) as file:
      meta = json.loads(file.read())
    if _hash(meta["facts"]) == meta["sha256"]:
      return dict(meta["facts"])
  except PermissionError as error:
    raise UnusableError(path.parent, error) from error
  except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
    raise _unreadable(path, error) from error
  raise DamagedError(f"{path.name} does not match its checksum")


def _check_facts(facts: dict[str, Any]) -> None:
  """Refuses facts that `write` cannot have written, such as files elsewhere."""
  files = facts.get("files")
  good = (
    isinstance(files, dict)
    and all(name == pathlib.Path(name).name for name in files)
    and isinstance(facts.get("fingerprint"), str)
    and isinstance(facts["about"], dict)
  )
  if not good:
    raise DamagedError("meta.json does not describe arrays of this folder")


def _read_array(path: pathlib.Path, digest: str) -> np.ndarray:
  try:
    if (size := path.stat().st_size) > 1e9:
      logging.info("Checking %s (%.1f GB)", path, size / 1e9)
    if untrusted.sha256(path) == digest:
      return np.load(path, mmap_mode="r", allow_pickle=False)
  except PermissionError as error:
    raise UnusableError(path.parent, error) from error
  except (OSError, ValueError) as error:
    raise _unreadable(path, error) from error
  raise DamagedError(f"{path.name} does not match its checksum")


def _unreadable(path: pathlib.Path, error: Exception) -> DamagedError:
  return DamagedError(
    f"{path.name} cannot be read ({type(error).__name__}: {error})"
  )


def _hash(facts: Any) -> str:
  text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()


def _read_new(
  folder: pathlib.Path,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  try:
    return read(folder)
  except DamagedError as damage:
    raise errors.UserError(
      f"What was just written to {folder} reads differently ({damage}); check "
      "the disk, or use another one (for caches, set XDG_CACHE_HOME)."
    ) from damage


def _write(
  folder: pathlib.Path,
  build: Callable[[NewArray], None],
  about: Mapping[str, Any] | None = None,
) -> None:
  """Fills `folder` and waits until the disk holds it."""
  arrays: dict[str, np.memmap] = {}

  def new_array(
    name: str, shape: tuple[int, ...], dtype: Any = np.uint8
  ) -> np.ndarray:
    arrays[name] = _reserve(folder / f"{name}.npy", shape, dtype)
    return arrays[name]

  build(new_array)
  with _writing(folder.parent):
    for array in arrays.values():
      array.flush()
    names = [f"{name}.npy" for name in arrays]
    facts = {
      "fingerprint": fingerprint(arrays),
      "files": {name: untrusted.sha256(folder / name) for name in names},
      "about": dict(about or {}),
    }
    meta = json.dumps({"facts": facts, "sha256": _hash(facts)}, indent=2)
    (folder / "meta.json").write_text(meta)
    for path in folder.iterdir():
      atomic.sync(path)
    atomic.sync(folder)


def _reserve(
  path: pathlib.Path, shape: tuple[int, ...], dtype: Any
) -> np.memmap:
  """A writable array on disk; a full disk is an error here, not a crash."""
  with _writing(path.parent.parent):
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
      with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
  return array


@contextlib.contextmanager
def _temporary(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """A new folder beside `folder`, removed at the end if it is still there."""
  parent = folder.parent
  with contextlib.ExitStack() as stack:
    with _writing(parent):
      parent.mkdir(parents=True, exist_ok=True)
      temporary = stack.enter_context(leftovers.new_folder(parent))
    yield temporary


def _rename(source: pathlib.Path, target: pathlib.Path) -> None:
  """Renames at once; FileExistsError where there is a folder `target`."""
  try:
    source.rename(target)
    atomic.sync(target.parent)
  except OSError as error:
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
      raise FileExistsError(target) from error
    raise UnusableError(target.parent, error) from error


def _discard(folder: pathlib.Path) -> None:
  """Removes a folder; other processes see it whole or not at all."""
  with (
    _temporary(folder) as temporary,
    _writing(folder.parent),
    contextlib.suppress(FileNotFoundError),
  ):
    folder.rename(temporary / "damaged")


@contextlib.contextmanager
def _writing(folder: pathlib.Path) -> Iterator[None]:
  """Turns a full disk, or another refusal to write, into a `UserError`."""
  try:
    yield
  except OSError as error:
    raise UnusableError(folder, error) from error

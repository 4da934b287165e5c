"""Compiled programs on disk: whole, checked, and never in the way.

JAX writes an entry of its cache in place and believes what it reads, but an
entry is machine code: a flipped bit could compute anything. Here an entry
appears whole or not at all, has a checksum, and is written again if it is
damaged. Programs that cannot be kept are a warning.
"""

import functools
import hashlib
import pathlib
from typing import Any

import jax
from absl import logging

from pseudovideo.files import atomic, unkept, untrusted

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
"""The variable by which JAX is told a folder."""
CACHE_HOME = "XDG_CACHE_HOME"

SEAL = b"pseudovideo program 1\n"
_SEALED = len(SEAL) + hashlib.sha256().digest_size


class Programs:
  """The entries of one folder, as an object of JAX's `CacheInterface`.

  Args:
    folder: the folder.
    sealed: whether entries have a checksum; others are as JAX writes them.
  """

  def __init__(self, folder: pathlib.Path, *, sealed: bool):
    self._path = folder  # JAX's name for it.
    self._sealed = sealed
    self._damaged = False

  def get(self, key: str) -> bytes | None:
    """The program of that key; None if it must be compiled."""
    path = self._file(key)
    try:
      with untrusted.opened(path) as file:
        content = file.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
      return None  # `put` says what is the matter.
    except OSError as error:
      self._report(path, error.strerror)
      return None
    if not self._sealed:
      return content
    program = content[_SEALED:]
    if content[:_SEALED] != _seal(program):
      self._report(path, "it does not match its checksum")
      return None
    return program

  def put(self, key: str, value: bytes) -> None:
    """Keeps a program that was just compiled."""
    try:
      with atomic.replacing(self._file(key)) as part, part.open("wb") as file:
        file.write(_seal(value) if self._sealed else b"")
        file.write(value)
    except OSError as error:
      variable = CACHE_HOME if self._sealed else VARIABLE
      unkept.warn("Compiled programs", self._path, error, variable=variable)

  def _file(self, key: str) -> pathlib.Path:
    return self._path / f"{key}-cache"

  def _report(self, path: pathlib.Path, why: str | None) -> None:
    """Warns about the first entry that is damaged."""
    if not self._damaged:
      logging.warning(
        "The compiled program %s is damaged (%s); it is compiled again.",
        path,
        why,
      )
    self._damaged = True


def _seal(program: bytes) -> bytes:
  return SEAL + hashlib.sha256(program).digest()


def use(folder: str, *, sealed: bool) -> bool:
  """Makes JAX keep programs by `Programs`, where its version allows it.

  Args:
    folder: folder that JAX is told to use.
    sealed: see `Programs`.

  Returns:
    Whether it does; else JAX keeps them itself.
  """
  (_sealed.add if sealed else _sealed.discard)(folder)
  return _install()


_sealed: set[str] = set()


@functools.cache
def _install() -> bool:
  try:
    from jax._src import compilation_cache

    theirs = compilation_cache.get_file_cache
  except (ImportError, AttributeError):
    return False

  def ours(path: str) -> Any:
    most = getattr(jax.config, "jax_compilation_cache_max_size", -1)
    if "://" in path or most != -1:  # Only JAX's own can do that.
      return theirs(path)
    return Programs(pathlib.Path(path), sealed=path in _sealed), path

  compilation_cache.get_file_cache = ours
  return True

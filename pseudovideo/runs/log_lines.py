"""The lines of metrics.jsonl: appended one by one, read with suspicion.

A line that cannot be written waits for the next one; a line that nobody would
have written is left out of what is read, with a sentence.
"""

import functools
import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from absl import logging

from pseudovideo.files import atomic, untrusted

LIMIT = 2**20
"""Bytes of a line that is read; one of a hundred values has 3,000."""

_BOM = b"\xef\xbb\xbf"
_MOST_STEPS = 2**53
_NAMED = 10  # faulty lines that a sentence lists


class Appender:
  """Appends lines to a file, whole or not at all.

  Args:
    path: path of the file, in a folder that exists.
  """

  def __init__(self, path: pathlib.Path):
    self._path = path
    self._waiting = b""
    self.steps: list[int] = []
    """Steps of the rows that could not be written yet."""

  def add(self, row: dict[str, Any]) -> None:
    """Appends a row, after those that wait.

    Raises:
      OSError: it cannot be written now, and waits; names the file.
    """
    self._waiting += dump([row])
    self.steps.append(row["step"])
    self.write()

  def write(self) -> None:
    """Writes the rows that wait.

    Raises:
      OSError: see `add`.
    """
    if not self._waiting:
      return
    with atomic.naming(self._path):
      if self._path.exists():
        untrusted.opened(self._path).close()  # A pipe would wait for a reader.
      with self._path.open("a+b", buffering=0) as file:
        _append(file, self._waiting)
    self._waiting = b""
    self.steps.clear()


def _append(file: BinaryIO, content: bytes) -> None:
  """Appends lines, all or none, behind an unfinished one if need be."""
  size = file.seek(0, os.SEEK_END)
  file.seek(max(0, size - 1))
  begun = file.read(1) not in (b"", b"\n")
  left = memoryview(b"\n" + content if begun else content)
  try:
    while left:
      left = left[file.write(left) :]
  except OSError:
    file.truncate(size)
    raise


def dump(rows: Iterable[Mapping[str, Any]]) -> bytes:
  """Rows as lines; raises `ValueError` for nan."""
  return b"".join(f"{json.dumps(r, allow_nan=False)}\n".encode() for r in rows)


def read(path: pathlib.Path) -> tuple[list[dict[str, Any]], bool]:
  """Reads all good lines, and says which were left out.

  Returns:
    Rows as they were written, null as None; and whether any line but an
    unfinished last one was left out.

  Raises:
    OSError: there is no such file, or it cannot be read.
  """
  rows, faulty, number = [], [], 0
  for number, line in enumerate(_lines(path), 1):
    try:
      rows.append(_row(line))
    except (ValueError, RecursionError):
      faulty.append(number)
      last = line
  if faulty and faulty[-1] == number and not last.endswith(b"\n"):
    faulty.pop()  # A killed process left it unfinished.
  if faulty:
    say_once(_sentence(path, faulty))
  return rows, bool(faulty)


@functools.cache
def say_once(sentence: str) -> None:
  """Warns once in a process, since a log is read several times."""
  logging.warning("%s", sentence)


def _lines(path: pathlib.Path) -> Iterator[bytes]:
  """The lines of a file; an empty one for each that is too long."""
  with untrusted.opened(path) as file:
    start = file.read(len(_BOM))
    if start != _BOM:
      file.seek(0)
    while line := file.readline(LIMIT):
      whole = len(line) < LIMIT
      while len(line) == LIMIT and not line.endswith(b"\n"):
        line = file.readline(LIMIT)
      yield line if whole else b"\n"


def _sentence(path: pathlib.Path, faulty: Sequence[int]) -> str:
  named = ", ".join(map(str, faulty[:_NAMED]))
  more = f" and {len(faulty) - _NAMED:,} more" if faulty[_NAMED:] else ""
  one = len(faulty) == 1
  return (
    f"Line{'' if one else 's'} {named}{more} of {path} {'is' if one else 'are'}"
    f" left out, as {'it is no line' if one else 'they are no lines'} of "
    "metrics."
  )


def _row(line: bytes) -> dict[str, Any]:
  """Raises `ValueError` if it is not what `MetricWriter` writes."""
  row = json.loads(
    line.decode(), parse_constant=_refuse, object_pairs_hook=_once
  )
  if not isinstance(row, dict) or not row.keys() >= {"step", "split"}:
    raise ValueError("no row")
  step, split = row["step"], row["split"]
  if type(step) is not int or not 0 <= step < _MOST_STEPS:
    raise ValueError("no step")
  if not (isinstance(split, str) and split.isprintable()):
    raise ValueError("no split")
  for name, value in row.items():
    if not name.isprintable():
      raise ValueError("no name")
    if name not in ("step", "split"):
      row[name] = _value(value)
  return row


def _value(value: Any) -> float | None:
  if value is None:
    return None
  if type(value) not in (int, float):
    raise ValueError("no number")
  try:
    value = float(value)
  except OverflowError:
    value = math.inf
  if not math.isfinite(value):
    raise ValueError("too large")
  return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  found = dict(pairs)
  if len(found) < len(pairs):
    raise ValueError("a name twice")
  return found


def _refuse(constant: str):
  raise ValueError(constant)

"""Standard output and error that never end a program.

A terminal that is gone, a pipe that nobody reads any more, a full disk or an
encoding that lacks a letter costs what was to be shown, and nothing else.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

_STANDARD = (1, 2)


class Lenient:
  """A text stream that raises nothing: what cannot be written is lost.

  Letters that its encoding lacks are written as Python escapes them.

  Args:
    stream: anything that has `write`; None writes nowhere.
  """

  def __init__(self, stream: Any):
    self._stream = _nowhere() if stream is None else stream

  def write(self, text: str) -> int:
    # Streams of other programs' windows raise errors of their own.
    with contextlib.suppress(Exception):
      try:
        self._stream.write(text)
      except UnicodeEncodeError:
        encoding = getattr(self._stream, "encoding", None) or "ascii"
        plain = text.encode(encoding, "backslashreplace").decode(encoding)
        self._stream.write(plain)
    return len(text)

  def writelines(self, lines) -> None:
    for line in lines:
      self.write(line)

  def flush(self) -> None:
    with contextlib.suppress(Exception):
      self._stream.flush()

  def isatty(self) -> bool:
    try:
      return bool(self._stream.isatty())
    except Exception:
      return False

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)


def lenient(stream: Any) -> Lenient:
  """The stream as a `Lenient` one; one that is so already stays."""
  return stream if isinstance(stream, Lenient) else Lenient(stream)


@contextlib.contextmanager
def forgiving() -> Iterator[None]:
  """Within it, standard output and error are `Lenient`.

  Every command is within it, and every training and evaluation, also those that
  a program of one's own calls.

  At the end, what can never be written is thrown away, which Python would
  otherwise try again when it ends, with another exit code.
  """
  _occupy()
  before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
  within = {name: lenient(stream) for name, stream in before.items()}
  for name, stream in within.items():
    setattr(sys, name, stream)
  try:
    yield
  finally:
    for name, stream in before.items():
      _settle(stream)
      # Another thread may have exchanged it since.
      if getattr(sys, name) is within[name]:
        setattr(sys, name, stream)


def _nowhere() -> Any:
  # It lives as long as the stream that it stands for.
  return open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")


def _occupy() -> None:
  """Opens standard descriptors that are closed.

  The next file that is opened would get such a number, and with it all that
  libraries print.
  """
  while (number := os.open(os.devnull, os.O_RDWR)) <= max(_STANDARD):
    os.set_inheritable(number, True)
  os.close(number)


def _settle(stream: Any) -> None:
  """Empties a standard stream, into nowhere if nothing else takes it."""
  if stream is None or isinstance(stream, Lenient):
    return
  try:
    stream.flush()
  except OSError:
    with contextlib.suppress(Exception):
      if stream.fileno() in _STANDARD:
        with open(os.devnull, "wb") as nowhere:
          os.dup2(nowhere.fileno(), stream.fileno())
        stream.flush()
  except Exception:  # A closed stream, or none of Python's.
    return

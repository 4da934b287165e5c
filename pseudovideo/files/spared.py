"""Files that a program can do without: a failure to write one is a warning."""

import collections
import contextlib
import os
from collections.abc import Iterator

from absl import logging

from pseudovideo.files import untrusted


class Spared:
  """Counts what could not be written, by kind; the first of each is said.

  Args:
    without: end of the sentence, such as "training goes on without them".
  """

  def __init__(self, without: str):
    self._without = without
    self._lost: collections.Counter[str] = collections.Counter()

  def __getitem__(self, kind: str) -> int:
    """The number of losses of a kind."""
    return self._lost[kind]

  @contextlib.contextmanager
  def writing(self, kind: str, path: str | os.PathLike) -> Iterator[None]:
    """Within it, a file is written; if the disk refuses it, that is lost.

    Args:
      kind: such as "pictures".
      path: path of the file, for the message.
    """
    try:
      yield
    except OSError as error:
      self._lost[kind] += 1
      if self._lost[kind] == 1:
        logging.warning(
          "%s cannot be written (%s): %s.",
          path,
          untrusted.reason(error),
          self._without,
        )

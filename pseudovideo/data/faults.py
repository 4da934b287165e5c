"""Files that cannot be used, collected so that one error names them all."""

import pathlib
import threading
from collections.abc import Callable, Sequence

from pseudovideo import errors

NAMED = 10  # files that a message names
LENGTH = 120  # most characters of what is wrong with each, where they are many


def file_error(where: object, why: str, advice: str) -> errors.UserError:
  """The error of one file that cannot be used.

  Args:
    where: the file.
    why: what is wrong with it, such as "is 6x4"; the end of a sentence that
      begins with its name.
    advice: what to do about it.
  """
  error = errors.UserError(f"{shown(where)} {why}; {advice}.")
  vars(error)["why"] = why
  return error


class Faults:
  """The faults of some files, from several threads.

  Attributes:
    files: the files, which `add` and so on name by their places.
  """

  def __init__(self, root: pathlib.Path, files: Sequence[pathlib.Path]):
    """Names files in `refuse` relative to `root`."""
    self.files = files
    self._root = root
    # Sentence, and what is wrong in short. Errors themselves would keep what
    # was decoded in memory, through their tracebacks.
    self._found: dict[int, tuple[str, str]] = {}
    self._lock = threading.Lock()

  def __bool__(self) -> bool:
    return bool(self._found)

  def __contains__(self, place: int) -> bool:
    return place in self._found

  def add(self, place: int, error: errors.UserError) -> None:
    """Notes the first fault of `files[place]`."""
    with self._lock:
      why = vars(error).get("why", str(error))
      self._found.setdefault(place, (str(error), why))

  def call(self, place: int, function: Callable[[int], None]) -> None:
    """Calls a function of a place in `files`, and notes what it raises."""
    try:
      function(place)
    except errors.UserError as error:
      self.add(place, error)

  def refuse(self, what: str = "images", advice: str = "") -> None:
    """Raises one `UserError` that names the first ten files, if there are any.

    Args:
      what: what the files are, in the plural.
      advice: what else can be done than to replace or remove them.
    """
    places = sorted(self._found, key=self.files.__getitem__)
    if not places:
      return
    if len(places) == 1:
      raise errors.UserError(self._found[places[0]][0])
    named = "; ".join(map(self._entry, places[:NAMED]))
    more = len(places) - NAMED
    end = f"; and {more:,} more" if more > 0 else ""
    raise errors.UserError(
      f"{len(places):,} of the {len(self.files):,} {what} in "
      f"{shown(self._root)} cannot be used: {named}{end}. Replace or remove "
      f"them{advice}."
    )

  def _entry(self, place: int) -> str:
    name = self.files[place].relative_to(self._root).as_posix()
    _, why = self._found[place]
    why = f"{why[:LENGTH]}..." if len(why) > LENGTH else why
    return f"{shown(name)} {why}"


def shown(name: object) -> str:
  """A name on one printable line."""
  return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))

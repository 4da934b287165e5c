"""What is said where a cache cannot be written: one line for each kind."""

import os
import pathlib

from absl import logging

_said: set[tuple[str, pathlib.Path]] = set()


def warn(
  kind: str,
  folder: pathlib.Path,
  error: OSError,
  then: str = "",
  variable: str = "XDG_CACHE_HOME",
) -> None:
  """Warns once that things of a kind cannot be kept in a folder.

  Args:
    kind: plural noun that begins the sentence.
    folder: folder where they would be.
    error: what the system says.
    then: clause about what is done instead.
    variable: name of the variable that chooses the folder.
  """
  if (kind, folder) in _said:
    return
  _said.add((kind, folder))
  logging.warning(
    "%s cannot be kept in %s (%s), so %severy command makes them again; set "
    "%s to a folder with room.",
    kind,
    folder,
    reason(folder, error),
    f"{then} and " if then else "",
    variable,
  )


def reason(folder: pathlib.Path, error: OSError) -> str:
  """Says why a folder cannot be written, without a full stop."""
  if folder.is_relative_to(os.devnull):
    return "this user has no home"
  return error.strerror or str(error)

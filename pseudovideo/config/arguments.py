"""Arguments behind the colon of a config file, which read them by `parse`."""

import os
from collections.abc import Collection

from pseudovideo import data, errors

# A user's own set, in `data.SETS`, is allowed too.
DATASETS = (*data.FACTS, "folder:PATH")


def parse(arg: str, **choices: tuple[str, ...]) -> dict[str, str]:
  """Parses `name=value,name=value`; the first choice is the default.

  A path may have commas: what follows one belongs to it, up to the next part
  that is written `name=`.

  Args:
    arg: the text behind the colon of `--config=file.py:arg`.
    **choices: the allowed values of each name; one that ends in `:PATH` allows
      any path behind its colon.

  Returns:
    A value for every name.

  Raises:
    UserError: an unknown name or value, with the choices, or a name that is
      given twice.
  """
  given: dict[str, str] = {}
  for part in _parts(arg, choices):
    name, _, value = part.partition("=")
    allowed = set(errors.look_up("config argument", name, choices))
    if name == "dataset":
      allowed |= data.SETS.keys() - {"folder"}
    paths = _paths(allowed)
    if value in paths or not (value in allowed or value.startswith(paths)):
      raise errors.unknown(f"config argument {name}", value, allowed)
    if name in given:
      raise errors.UserError(
        f"The config argument {name} is given twice, as {given[name]!r} and "
        f"{value!r}; leave one of them out."
      )
    given[name] = value
  return {name: values[0] for name, values in choices.items()} | given


def _paths(allowed: Collection[str]) -> tuple[str, ...]:
  """Beginnings of values with a path, such as `folder:`."""
  return tuple(a.removesuffix("PATH") for a in allowed if ":PATH" in a)


def _parts(arg: str, choices: dict[str, tuple[str, ...]]) -> list[str]:
  """Splits at the commas that are not in a path."""
  left, parts = arg.split(","), []
  while left:
    name, _, value = left[0].partition("=")
    count = 1
    if value.startswith(_paths(choices.get(name, ()))):
      count = _length(left, choices)
    part = ",".join(left[:count])
    if part:
      parts.append(part)
    del left[:count]
  return parts


def _length(left: list[str], choices: dict[str, tuple[str, ...]]) -> int:
  """How many of the parts at the beginning are one argument with a path.

  Args:
    left: parts between commas, the first `name=folder:...`.
    choices: see `parse`.
  """
  ends = [
    end
    for end in range(1, len(left) + 1)
    if end == len(left) or left[end].partition("=")[0] in choices
  ]
  for end in ends:
    if _is_there(",".join(left[:end]).partition(":")[2]):
      return end
  # No such folder: a misspelled argument is not taken for a part of its name.
  for end in range(1, ends[0]):
    name, equals, _ = left[end].partition("=")
    if equals and name.isidentifier():
      return end
  return ends[0]


def _is_there(argument: str) -> bool:
  """True if a folder exists, from `PATH` or `PATH?size=32`."""
  path = argument.rpartition("?")[0] or argument
  return any(os.path.isdir(os.path.expanduser(p)) for p in (argument, path))

"""The errors that `main` prints as a sentence, without a traceback."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

_MOST_SHOWN = 80


class UserError(ValueError):
  """A mistake that the user can fix; the message is one full sentence.

  It says what was given, what is allowed, and how to fix it. The command line
  prints it and exits with code 2.
  """


def shown(value: object) -> str:
  """The value as Python writes it; the middle of long ones is left out."""
  text = repr(value)
  if len(text) <= _MOST_SHOWN:
    return text
  return f"{text[: _MOST_SHOWN - 20]} ... {text[-10:]}"


def unknown(kind: str, name: object, allowed: Iterable[str]) -> UserError:
  """The error for a name that is not among `allowed`, which it lists."""
  allowed = sorted(allowed)
  close = difflib.get_close_matches(str(name), allowed, n=1)
  hint = f"; did you mean {close[0]!r}?" if close else "."
  choice = (
    f"Choose one of: {', '.join(allowed)}." if allowed else "Leave it out."
  )
  return UserError(f"There is no {kind} named {shown(name)}{hint} {choice}")


def look_up(kind: str, name: str, table: Mapping[str, Any]) -> Any:
  """Looks up `table[name]`.

  Raises:
    UserError: there is no such name; the message lists the choices.
  """
  if name not in table:
    raise unknown(kind, name, table)
  return table[name]


class RunError(RuntimeError):
  """A run that cannot go on; printed as a sentence, exit code 1."""

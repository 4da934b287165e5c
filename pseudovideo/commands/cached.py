"""Lists the decoded copies of data sets on this machine, and removes some.

  python -m pseudovideo.data.cached
  python -m pseudovideo.data.cached --remove=unused

Data sets are decoded once into $XDG_CACHE_HOME/pseudovideo (~/.cache). A copy
is unused if the folder that it was made from is gone, or has changed since, so
that there is a newer one. What is removed is made again when it is needed;
commands that are running keep what they have open.
"""

import datetime
import sys
from collections.abc import Sequence

from absl import flags

from pseudovideo import errors
from pseudovideo.data import copies, faults
from pseudovideo.files import atomic
from pseudovideo.terminal import command_line

UNUSED, ALL = "unused", "all"


def define_flags() -> flags.FlagValues:
  """The flags."""
  values = flags.FlagValues()
  flags.DEFINE_string(
    "remove",
    None,
    "Remove these copies: unused, all, or names from the list, commas between.",
    flag_values=values,
  )
  return values


def chosen(found: Sequence[copies.Copy], text: str) -> list[copies.Copy]:
  """Chooses copies as --remove says.

  Raises:
    UserError: there is no copy of that name.
  """
  if text == ALL:
    return list(found)
  if text == UNUSED:
    return copies.unused(found)
  by_name = {copy.name: copy for copy in found}
  names = [name for name in text.split(",") if name]
  return [
    errors.look_up("copy", name, by_name | {UNUSED: None, ALL: None})
    for name in names
  ]


def main(argv: Sequence[str]) -> int:
  """The command line; returns the exit code."""
  values = define_flags()
  return command_line.answer(
    lambda arguments: _run(arguments, values), argv, __doc__, values
  )


def _run(argv: Sequence[str], values: flags.FlagValues) -> int:
  command_line.parse_flags(argv, values)
  found = copies.find()
  if values.remove is None:
    _show(found)
    return 0
  removed = [
    copy for copy in chosen(found, values.remove) if copies.remove(copy)
  ]
  for copy in removed:
    print(f"Removed {copy.name}, {_megabytes(copy.size)}.")
  size = _megabytes(sum(copy.size for copy in removed))
  print(f"{len(removed)} copies removed, {size} in all.")
  return 0


def _show(found: Sequence[copies.Copy]) -> None:
  place = faults.shown(atomic.cache_dir())
  if not found:
    print(f"There are no decoded copies in {place}.")
    return
  unused = copies.unused(found)
  for copy in found:
    used = datetime.datetime.fromtimestamp(copy.used)
    print(
      f"{_megabytes(copy.size):>12}  used {used:%Y-%m-%d}  {copy.name}  "
      f"{_state(copy, unused)}"
    )
  total, idle = (
    _megabytes(sum(copy.size for copy in some)) for some in (found, unused)
  )
  print(f"{len(found)} copies in {place}: {total}, of which unused: {idle}.")


def _state(copy: copies.Copy, unused: Sequence[copies.Copy]) -> str:
  if copy.source is None:
    return ""
  source = faults.shown(copy.source)
  if copy.is_orphan:
    return f"unused: {source} is gone"
  return f"unused: older state of {source}" if copy in unused else source


def _megabytes(size: int) -> str:
  return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

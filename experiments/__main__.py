"""Every table and figure of the paper, and ours, by name.

  python -m experiments list
  python -m experiments run NAME [--preset=small] [--dataset=digits]
  python -m experiments run NAME --dry-run
  python -m experiments run NAME --workers=4
  python -m experiments submit NAME --cluster=slurm --partition=gpu
  python -m experiments report NAME [--format=text|md|csv]
  python -m experiments report [--results=results] [--format=html|md|csv]

`run` trains, samples and scores the rows that are not done, and resumes
those that were interrupted; --dry-run says how far they are, and how long they
will take. --workers=4 does so in 4 processes side by side, each with its share
of the GPUs. `submit` makes every row a job of a cluster. `report` prints the
table or draws the figure; without a name, or with --format=html, it writes one
page, with all tables or with that one.

`python -m experiments run NAME --help` says what the rows are, and all flags.
"""

import sys
from collections.abc import Sequence

from pseudovideo import errors
from pseudovideo.terminal import command_line

VERBS = ("list", "run", "submit", "report")


def overview() -> str:
  """A line for each table and figure, then the other commands."""
  from experiments import registry

  lines = [[name, registry.title(name)] for name in registry.NAMES]
  others = [
    [f"python -m experiments.{name}", registry.first_line(name)]
    for name in registry.OTHERS
  ]
  return f"{_aligned(lines)}\n\nCommands of their own:\n\n{_aligned(others)}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
  width = max(len(name) for name, _ in lines)
  return "\n".join(f"{name.ljust(width)}  {title}" for name, title in lines)


def run(argv: Sequence[str]) -> int:
  """Runs the verb that comes first; returns the exit code.

  Raises:
    UserError: no such verb, table or figure, or the command's own mistakes.
  """
  # Imported late, so that --help is answered at once.
  from experiments import registry
  from experiments.publishing import html_page
  from experiments.running import submit, workers

  verb, *rest = argv or [""]
  if verb == "list":
    if rest:
      raise errors.UserError(f"list takes no arguments; got {rest[0]!r}.")
    print(overview())
    return 0
  name = rest.pop(0) if rest and not rest[0].startswith("-") else None
  if verb == "report" and name is None:
    return html_page.main(rest)
  if name is None:
    raise errors.UserError(
      f"The first argument must be {', '.join(VERBS[:-1])} or {VERBS[-1]}, and "
      f"the second a name that list shows; got {' '.join(argv)!r}."
    )
  module = registry.module(name)
  if verb == "report" and "--format=html" in rest:
    return html_page.main([f"--tables={name}", *rest])
  if verb == "submit":
    return submit.main(module, rest)
  if verb == "run":
    count, rest = workers.parse_count(rest)
    if count > 1:
      return workers.side_by_side(["run", name, *rest], count)
  return module.main([verb, *rest])


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.exit_code(_answer, argv)


def _answer(argv: Sequence[str]) -> int:
  """Prints the help if it is asked for, or does what the arguments say."""
  asked = set(argv[:2]) & {"--help", "-help", "-h"}
  if not argv or (asked and argv[0] != "report"):
    print(__doc__)
    return 0
  return run(argv)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

"""Every table and figure of the paper, and ours, by name.

  python -m experiments list
  python -m experiments run NAME [--preset=small] [--dataset=digits]
  python -m experiments run NAME --dry-run
  python -m experiments run NAME --workers=4
  python -m experiments submit NAME --cluster=slurm --partition=gpu
  python -m experiments report NAME [--format=text|md|csv]
  python -m experiments report [--results=results] [--format=html|md|csv]

`run` trains, samples and scores the rows that are not done, and goes on with
those that were interrupted; --dry-run says how far they are, and how long they
will take. --workers=4 does so in 4 processes side by side, each with its share
of the GPUs. `submit` makes every row a job of a cluster. `report` prints the
table or draws the figure; without a name it writes one page with all tables,
as it does of one table with --format=html.

`python -m experiments run NAME --help` says what the rows are, and all flags.
"""

import sys
from collections.abc import Sequence

from experiments import pages, registry, submit, workers
from pseudovideo import command_line, errors

VERBS = ("list", "run", "submit", "report")


def overview() -> str:
  """A line for each name, then the commands of their own."""
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
  """Does what the arguments say; returns the exit code."""
  verb, *rest = argv or [""]
  if verb == "list":
    if rest:
      raise errors.UserError(f"list takes no arguments; got {rest[0]!r}.")
    print(overview())
    return 0
  name = rest.pop(0) if rest and not rest[0].startswith("-") else None
  if verb == "report" and name is None:
    return pages.main(rest)
  if name is None:
    raise errors.UserError(
      f"The first argument must be {', '.join(VERBS[:-1])} or {VERBS[-1]}, and "
      f"the second a name that list shows; got {' '.join(argv)!r}."
    )
  module = registry.module(name)
  if verb == "report" and "--format=html" in rest:
    return pages.main([f"--tables={name}", *rest])
  if verb == "submit":
    return submit.main(name, rest)
  if verb == "run":
    count, rest = workers.taken(rest)
    if count > 1:
      return workers.side_by_side(["run", name, *rest], count)
  return module.main([verb, *rest])


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  if not argv or argv[0] in ("--help", "-help", "-h"):
    print(__doc__)
    return 0
  return command_line.exit_code(run, argv)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))

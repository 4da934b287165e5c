"""Writes every published table: in README.md, in docs/ and in results/.

  python -m experiments.readme

In pages a table stands between `<!-- table: NAME -->` and `<!-- end -->`;
results/README.md and results/benchmarks/README.md hold all of them.
"""

from collections.abc import Sequence

from absl import flags

from experiments.publishing import pages
from pseudovideo.terminal import command_line


def run(argv: Sequence[str]) -> int:
  """The command, which takes no arguments; returns the exit code."""
  command_line.parse_flags(argv, flags.FlagValues())
  for path, text in pages.generated().items():
    path.write_text(text)
    print(path.relative_to(pages.ROOT))
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, flags.FlagValues())

"""Table 1: heat-equation encoder against learnable encoder, same decoder.

  python -m experiments run table1 --preset=small --dataset=mnist
  python -m experiments report table1 --preset=small --dataset=mnist

`run` trains, samples and scores what is not done yet, and resumes from where it
was interrupted. The paper has binarized MNIST, --preset=paper; its scores are
over a classifier that it does not name, and at most 10, the number of classes.
"""

from collections.abc import Sequence

from experiments.rows import hvae
from experiments.rows.base import Table
from experiments.running import commands

TABLE = Table(
  "table1",
  "Table 1: heat-equation encoder and learnable encoder",
  hvae.FAMILY,
  (
    hvae.HEAT,
    hvae.LEARNED,
    hvae.HEAT_GAUSSIAN,
    hvae.LEARNED_TIME,
    hvae.LEARNED_SMALL,
  ),
  score="IS",
  fallback_dataset="mnist",
  words=hvae.WORDS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)

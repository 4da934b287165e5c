"""Table 2, first line: last-frame FID of reconstructions by 1, 8, 18 frames.

  python -m experiments run table2_reconstruction --dataset=digits
  python -m experiments report table2_reconstruction --dataset=digits

`run` trains, reconstructs and scores what is not done yet, and goes on from
where it was interrupted; several processes may run at once, row by row. The
paper's data sets are cifar10 and celeb_a, with --preset=paper; its finding is
that pseudo videos lower the FID sixfold and more. Ours besides are rows that
say why; `experiments/tokenizer_rows.py` explains them. Scores are those of
reconstructed held-out images against the training images.
"""

from collections.abc import Sequence

from experiments import commands
from experiments import tokenizer_rows as of
from experiments.rows import Table

TABLE = Table(
  "table2_reconstruction",
  "Table 2: reconstructions of 1, 8 and 18 frames",
  of.FAMILY,
  of.ROWS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)

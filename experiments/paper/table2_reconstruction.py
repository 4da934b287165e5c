"""Table 2, first line: last-frame FID of reconstructions by 1, 8, 18 frames.

  python -m experiments run table2_reconstruction --dataset=digits
  python -m experiments report table2_reconstruction --dataset=digits

`run` trains, reconstructs and scores what is not done yet, and resumes from
where it was interrupted; several processes may run at once, row by row. The
paper's data sets are cifar10 and celeb_a, with --preset=paper; its finding is
that pseudo videos lower the FID sixfold and more. Ours besides are rows that
ask why; `experiments/rows/tokenizer.py` explains them. Scores are of
reconstructed held-out images against the training images.
"""

from collections.abc import Sequence

from experiments.rows import tokenizer
from experiments.rows.base import Table
from experiments.running import commands

TABLE = Table(
  "table2_reconstruction",
  "Table 2: reconstructions of 1, 8 and 18 frames",
  tokenizer.FAMILY,
  tokenizer.ROWS,
  words=tokenizer.WORDS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)

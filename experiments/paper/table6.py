"""Table 6: last-frame PSNR of reconstructions by 1, 8 and 18 frames.

  python -m experiments run table6 --preset=small --dataset=digits
  python -m experiments report table6 --preset=small --dataset=digits

The runs are shared with Table 2. The paper does not define its PSNR; ours is a
mean over images, beside the PSNR of the mean error, which is lower.
"""

from collections.abc import Sequence

from experiments.rows import tokenizer
from experiments.rows.base import Table
from experiments.running import commands

TABLE = Table(
  "table6",
  "Table 6: PSNR of reconstructions of 1, 8 and 18 frames",
  tokenizer.FAMILY,
  tuple(tokenizer.by_psnr(row) for row in tokenizer.ROWS),
  score="PSNR",
  words=tokenizer.WORDS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)

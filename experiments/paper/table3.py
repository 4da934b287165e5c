"""Table 3: last-frame FID of pseudo videos by first- and high-order noise.

  python -m experiments run table3 --preset=small --dataset=digits
  python -m experiments report table3 --preset=small --dataset=digits

`run` trains, samples and scores what is not done yet, and resumes from where it
was interrupted; several processes may run at once, row by row. `--dry-run`
lists the rows and their state. The paper's data sets are cifar10 and celeb_a,
with --preset=paper; its finding is that high-order noise beats the 1-frame
image model and first-order noise does not.
"""

from collections.abc import Sequence

from experiments.rows import diffusion
from experiments.rows.base import Table
from experiments.running import commands

TABLE = Table(
  "table3",
  "Table 3: first-order and high-order noise",
  diffusion.FAMILY,
  (
    diffusion.ONE_FRAME,
    diffusion.FIRST_ORDER_4,
    diffusion.HIGH_ORDER_4,
    diffusion.FIRST_ORDER_8,
    diffusion.HIGH_ORDER_8,
    diffusion.MATCHED_SNR_4,
    diffusion.MATCHED_SNR_8,
  ),
  words=diffusion.WORDS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)

"""Table 5: high-order Gaussian noise against high-order Gaussian blur.

  python -m experiments run table5 --preset=small --dataset=digits
  python -m experiments report table5 --preset=small --dataset=digits

The paper has CIFAR-10 only, and finds blur worse. It does not define high-order
blur; `pseudovideo.augmentations.blur` has our reading. See table3 for the
commands.
"""

from collections.abc import Sequence

from experiments.rows import diffusion
from experiments.rows.base import Table
from experiments.running import commands

TABLE = Table(
  "table5",
  "Table 5: high-order noise and high-order blur",
  diffusion.FAMILY,
  (
    diffusion.HIGH_ORDER_4,
    diffusion.HIGH_ORDER_8,
    diffusion.HIGH_ORDER_BLUR_4,
    diffusion.HIGH_ORDER_BLUR_8,
  ),
  words=diffusion.WORDS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)

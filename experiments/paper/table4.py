"""Table 4: does an image model with more steps do as well as the video model?

  python -m experiments run table4 --preset=small --dataset=digits
  python -m experiments report table4 --preset=small --dataset=digits

The paper retrains the 1-frame model with a chain of 4,000 steps and compares it
with the 4-frame model, which takes 3,000 for its three windows. `paper` samples
with all steps; `small` and `tiny` respace, at the same ratios. Two controls of
ours: a 1-frame model trained with the FLOPs of the 4-frame model, and one that
evaluates its network as often per sample. See table3 for the commands.
"""

from collections.abc import Sequence

from experiments.rows import diffusion
from experiments.rows.base import Table
from experiments.running import commands

TABLE = Table(
  "table4",
  "Table 4: longer chains of the image model",
  diffusion.FAMILY,
  (
    diffusion.ONE_FRAME,
    diffusion.ONE_FRAME_4K,
    diffusion.HIGH_ORDER_4,
    diffusion.ONE_FRAME_FLOPS,
    diffusion.ONE_FRAME_EVALS,
  ),
  words=diffusion.WORDS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)

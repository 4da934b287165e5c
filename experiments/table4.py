"""Table 4: does an image model with more steps do as well as the video model?

  python -m experiments.table4 run --preset=small --dataset=digits
  python -m experiments.table4 report --preset=small --dataset=digits

The paper retrains the 1-frame model with a chain of 4,000 steps and compares it
with the 4-frame model, which takes 3,000 for its three windows. `paper` samples
with all steps; `small` and `tiny` respace, at the same ratios. Two controls of
ours: a 1-frame model trained with the FLOPs of the 4-frame model, and one that
evaluates its network as often per sample. See table3 for the commands.
"""

import sys

from experiments import commands
from experiments import diffusion_rows as of
from experiments.rows import Table

TABLE = Table(
  "table4",
  "Table 4: longer chains of the image model",
  of.FAMILY,
  (
    of.ONE_FRAME,
    of.ONE_FRAME_4K,
    of.HIGH_ORDER_4,
    of.ONE_FRAME_FLOPS,
    of.ONE_FRAME_EVALS,
  ),
)

if __name__ == "__main__":
  sys.exit(commands.table_main(TABLE, __doc__, sys.argv[1:]))

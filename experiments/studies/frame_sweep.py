"""Numbers of frames of a pseudo video: 1, 2, 4, 8, 12 and 18.

  python -m experiments run frame_sweep --preset=small --dataset=digits
  python -m experiments report frame_sweep --preset=small --dataset=digits

High-order noise, all else as in Table 3, whose rows of 1, 4 and 8 frames are
the same runs. Every row has as many updates; more frames cost more each, and
more evaluations for a sample. The paper has 4 and 8 frames only.
"""

from collections.abc import Sequence

from experiments.rows import diffusion
from experiments.rows.base import Table
from experiments.running import commands

TABLE = Table(
  "frame_sweep",
  "Frames of a pseudo video, high-order noise",
  diffusion.FAMILY,
  (
    diffusion.ONE_FRAME,
    diffusion.HIGH_ORDER_2,
    diffusion.HIGH_ORDER_4,
    diffusion.HIGH_ORDER_8,
    diffusion.HIGH_ORDER_12,
    diffusion.HIGH_ORDER_18,
  ),
  words=diffusion.WORDS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)

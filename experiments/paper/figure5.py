"""Figure 5: CelebA images and their reconstructions by 1, 8 and 18 frames.

  python -m experiments run figure5 --preset=small --dataset=celeb_a
  python -m experiments report figure5 --preset=small --dataset=celeb_a

Drawn as Figure 4 is, into ROOT/DATASET-PRESET/figure5_RECIPE.png.
"""

from collections.abc import Sequence

from experiments.paper import figure4


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return figure4.main(argv, "figure5", __doc__)

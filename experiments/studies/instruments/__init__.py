"""How sensitive and how noisy scores of images are, see `__main__`.

Imports what the other studies may.
"""

from experiments.studies.instruments.__main__ import main

__all__ = ["main"]

"""Runs that can be repeated bit by bit on accelerators.

Everything random is drawn from keys, and batches are a function of the seed, so
on CPU the same command on the same machine gives the same bits anyway. A GPU
adds some sums in any order, and XLA chooses among kernels by timing them; both
can be forbidden, at a price in speed.
"""

import os

XLA_FLAG = "--xla_gpu_deterministic_ops=true"


def enable() -> None:
  """Makes every program of this process the same function of its inputs.

  Must come before anything is computed, since XLA reads its flags once.
  """
  os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {XLA_FLAG}"

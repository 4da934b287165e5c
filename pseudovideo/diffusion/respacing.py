"""Respacing: which of the trained steps a shorter chain keeps.

""          all
"50"        50 evenly spaced steps, both ends among them
"ddim50"    every s-th step from step 0 on (Song et al. 2021); with s > 1 the
            last trained step is not among them
"10,15,20"  the chain in equal sections, the cleanest first, each with so many
            steps, spaced as in "50"; where sections cannot be equal the first
            ones are one step longer
"""

import numpy as np
from jaxtyping import Int64

from pseudovideo.errors import UserError, shown


def kept_steps(respacing: str, steps: int) -> Int64[np.ndarray, " K"]:
  """The indices of the kept steps, ascending.

  Args:
    respacing: one of the texts above.
    steps: number of trained steps.

  Returns:
    K indices, 2 <= K <= steps.

  Raises:
    UserError: a text that is none of the above, more steps than there are, or
      fewer than 2.
  """
  if not respacing.strip():
    return np.arange(steps)
  counts = _counts(respacing)
  if sum(counts) > steps:
    raise UserError(
      f"sampler.respacing {shown(respacing)} asks for {sum(counts)} steps, but "
      f"the process has {steps}."
    )
  if sum(counts) < 2:
    raise UserError(
      f"sampler.respacing must keep at least 2 of the {steps} steps; got "
      f"{shown(respacing)}."
    )
  if respacing.strip().startswith("ddim"):
    return _strided(counts[0], steps)
  return _sections(counts, steps, respacing)


def _counts(respacing: str) -> list[int]:
  """The numbers in the text, one of `ddim`'s or one per section."""
  text = respacing.strip()
  is_ddim = text.startswith("ddim")
  parts = [text[4:]] if is_ddim else [part.strip() for part in text.split(",")]
  if not all(
    part.isdecimal() and len(part) < 10 and int(part) > 0 for part in parts
  ):
    raise UserError(
      "sampler.respacing must be empty, a number of steps such as '50', "
      "'ddim50', or the steps of each section such as '10,15,20'; got "
      f"{shown(respacing)}."
    )
  return [int(part) for part in parts]


def _strided(count: int, steps: int) -> Int64[np.ndarray, " K"]:
  for stride in range(1, steps):
    if -(-steps // stride) == count:
      return np.arange(0, steps, stride)
  raise UserError(
    f"sampler.respacing 'ddim{count}' needs an integer stride that keeps "
    f"exactly {count} of {steps} steps, and there is none; '{count}' spaces "
    "them unevenly."
  )


def _sections(
  counts: list[int], steps: int, respacing: str
) -> Int64[np.ndarray, " K"]:
  size, longer = divmod(steps, len(counts))
  kept, start = [], 0
  for section, count in enumerate(counts):
    length = size + (section < longer)
    if count > length:
      raise UserError(
        f"sampler.respacing {shown(respacing)} asks for {count} steps in "
        f"section {section + 1}, which has {length} of the process's {steps}."
      )
    gaps = max(count - 1, 1)
    kept += [start + round(i * (length - 1) / gaps) for i in range(count)]
    start += length
  return np.array(kept)

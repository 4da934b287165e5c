"""The largest sizes of networks.

They are far above any that has been trained; a size above is a slip of the
keyboard, and would fill the memory or take hours to compile.
"""

from typing import Any

from pseudovideo import errors

WIDTH = 2**16
DEPTH = 1000
MOST = {
  "channels": WIDTH,
  "base": WIDTH,
  "width": WIDTH,
  "max_width": WIDTH,
  "head_width": WIDTH,
  "heads": WIDTH,
  "latent_channels": WIDTH,
  "multipliers": 1000,
  "blocks": DEPTH,
  "layers": DEPTH,
  "spatial_layers": DEPTH,
  "temporal_layers": DEPTH,
  "codes": 2**24,
}


def check(section: str, part: Any) -> None:
  """Refuses what is larger than `MOST` says.

  Args:
    section: of the config that `part` is.
    part: a network or quantizer; fields that it lacks do not count.

  Raises:
    UserError: names the field and its bound.
  """
  for name, most in MOST.items():
    value = getattr(part, name, 0)
    if max(value if isinstance(value, tuple) else (value,), default=0) > most:
      raise errors.UserError(
        f"{section}.{name} must be at most {most}; got {errors.shown(value)}."
      )

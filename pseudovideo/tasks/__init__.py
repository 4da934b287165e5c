"""Systems: the glue of model, loss and sampler, one file each; opens no run.

To add one, write a frozen dataclass with the methods of `base.Task`, and name
it in `table`. May import everything up to `metrics`.
"""

from typing import Any


def __getattr__(name: str) -> Any:
  """Imports `TABLE` and `SECTIONS` late, so that one task does not load all."""
  if name not in ("TABLE", "SECTIONS"):
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  from pseudovideo.tasks import table

  return getattr(table, name)

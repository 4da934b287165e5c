"""Every table and figure that `python -m experiments` knows, by name."""

import importlib
import types

from experiments.rows import Table
from pseudovideo import errors

NAMES = (
  "table1",
  "table2_reconstruction",
  "table2_generation",
  "table3",
  "table4",
  "table5",
  "table6",
  "figure2",
  "figure3",
  "figure4",
  "figure5",
  "figure6",
  "figure7",
  "frame_sweep",
  "generated",
  "ivvae_ablation",
  "latent_diffusion",
)
"""Modules of this package, the paper's in its order, then ours."""

OTHERS = (
  "demo",
  "exposure",
  "ivvae_cache",
  "mnist1d",
  "probe_ranking",
  "sampling_budget",
  "show_augmentations",
  "theorem41",
)
"""Modules with a command and flags of their own."""


def module(name: str) -> types.ModuleType:
  """The module of a table or figure; it has `main`, a table also `TABLE`.

  Raises:
    UserError: there is no such name.
  """
  errors.look_up("table or figure", name, dict.fromkeys(NAMES))
  return importlib.import_module(f"experiments.{name}")


def title(name: str) -> str:
  """The first line of a table or figure.

  Raises:
    UserError: there is no such name.
  """
  module(name)
  return first_line(name)


def first_line(name: str) -> str:
  """What a module of this package says that it is."""
  found = importlib.import_module(f"experiments.{name}")
  if found.__doc__ is None:
    found = importlib.import_module(f"experiments.{name}.__main__")
  return found.__doc__.partition("\n")[0].rstrip(".")


def tables() -> dict[str, Table]:
  """Those whose rows are scored, with all of their controls."""
  found = {name: getattr(module(name), "TABLE", None) for name in NAMES}
  return {
    name: table
    for name, table in found.items()
    if table is not None and name == table.name and not name.startswith("fig")
  }

"""Every table and figure that `python -m experiments` knows, by name."""

import importlib
import types

from experiments.rows.base import Table
from pseudovideo import errors

PAPER = (
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
)
"""Tables and figures of the paper, in its order: modules of `paper`."""

STUDIES = (
  "frame_sweep",
  "generated",
  "instruments",
  "ivvae_ablation",
  "latent_diffusion",
)
"""Tables of our own: modules of `studies`."""

NAMES = (*PAPER, *STUDIES)

OTHERS = (
  "classifiers",
  "demo",
  "exposure",
  "ivvae_cache",
  "mnist1d",
  "probe_ranking",
  "sampling_budget",
  "show_augmentations",
  "theorem41",
)
"""Modules of `studies` with a command and flags of their own."""


def module(name: str) -> types.ModuleType:
  """The module of a table or figure; it has `main`, a table also `TABLE`.

  Raises:
    UserError: there is no such name.
  """
  errors.look_up("table or figure", name, dict.fromkeys(NAMES))
  return _import(name)


def title(name: str) -> str:
  """The first line of a table or figure.

  Raises:
    UserError: there is no such name.
  """
  module(name)
  return first_line(name)


def first_line(name: str) -> str:
  """The first line of a module's docstring, which says what it is."""
  found = _import(name)
  if found.__file__.endswith("__init__.py"):
    found = importlib.import_module(f"{found.__name__}.__main__")
  return found.__doc__.partition("\n")[0].rstrip(".")


def tables() -> dict[str, Table]:
  """The tables whose rows are scored, with all of their controls."""
  found = {name: getattr(module(name), "TABLE", None) for name in NAMES}
  return {
    name: table
    for name, table in found.items()
    if table is not None and name == table.name and not name.startswith("fig")
  }


def _import(name: str) -> types.ModuleType:
  room = "paper" if name in PAPER else "studies"
  return importlib.import_module(f"experiments.{room}.{name}")

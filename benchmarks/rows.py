"""Flags, loop and results file of benchmarks that have several rows.

A row is a case that is measured by itself, and has a name.
"""

import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
from absl import flags

from pseudovideo import errors
from pseudovideo.devices import heap
from pseudovideo.files import writable
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

Row = TypeVar("Row")
Found = dict[str, float]


def define_flags(
  names: Sequence[str],
  repeats: int | None,
  integers: Mapping[str, tuple[int, str]] | None = None,
) -> flags.FlagValues:
  """Defines --rows, --repeats, --out, and others.

  Args:
    names: names of all rows, the default of --rows.
    repeats: default of --repeats; None leaves this flag out, where nothing is
      timed.
    integers: name of another flag -> its default and help.
  """
  values = flags.FlagValues()
  for define, name, default, meaning in (
    (
      flags.DEFINE_string,
      "rows",
      ",".join(names),
      "Measure these rows, commas between.",
    ),
    (
      flags.DEFINE_integer,
      "repeats",
      repeats,
      "Time so many calls.",
    ),
    *((flags.DEFINE_integer, n, *rest) for n, rest in (integers or {}).items()),
    (
      flags.DEFINE_string,
      "out",
      None,
      "Write results and provenance to this JSON file.",
    ),
  ):
    if name == "repeats" and repeats is None:
      continue
    define(name, default, meaning, flag_values=values)
    # --help shows flags of the program, which this module is not.
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def chosen(
  argv: Sequence[str],
  values: flags.FlagValues,
  rows: Mapping[str, Row],
  least: Mapping[str, int],
) -> dict[str, Row]:
  """Parses the arguments; returns the rows of --rows.

  Args:
    argv: arguments, without the program.
    values: flags of `define_flags`, which are filled.
    rows: name -> row.
    least: name of a flag -> its lowest value.

  Raises:
    UserError: there is no such row or flag, a value is too low, or --out cannot
      be written.
  """
  command_line.parse_flags(argv, values)
  found = {
    name: errors.look_up("--rows", name, rows)
    for name in values.rows.split(",")
  }
  for name, lowest in least.items():
    if values[name].value < lowest:
      raise errors.UserError(
        f"--{name} must be at least {lowest}; got {values[name].value}."
      )
  if values.out:
    writable.check(values.out)
  return found


def measured(
  rows: Mapping[str, Row],
  measure: Callable[[Row], Found],
  dtype: str = "float32",
) -> dict[str, Found]:
  """Measures every row and prints its results; returns them by name.

  Freed memory is kept, as by all commands.
  """
  heap.keep_freed_memory()
  print(f"{dtype} on {jax.devices()[0].device_kind}, jax {jax.__version__}")
  table = {}
  for name, row in rows.items():
    table[name] = measure(row)
    print(name)
    for field, value in table[name].items():
      print(f"  {field:<32}{value:>12.4g}", flush=True)
  return table


def write(
  values: flags.FlagValues, table: dict[str, Found], **more: Any
) -> None:
  """Writes the table, --repeats and provenance to --out, if there is one.

  Args:
    values: flags of `define_flags`.
    table: results by row.
    **more: other fields of the file.
  """
  if not values.out:
    return
  record = {
    "values": table,
    **({"repeats": values.repeats} if "repeats" in values else {}),
    **more,
    "provenance": results.provenance(),
  }
  pathlib.Path(values.out).write_text(json.dumps(record, indent=2) + "\n")

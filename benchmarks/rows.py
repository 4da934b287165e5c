"""What benchmarks of several rows share: flags, the loop, the file they write.

A row is a case that is measured by itself, and has a name.
"""

import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
from absl import flags

from pseudovideo import command_line, errors, results

Row = TypeVar("Row")
Found = dict[str, float]


def define_flags(
  names: Sequence[str],
  repeats: int | None,
  integers: Mapping[str, tuple[int, str]] | None = None,
) -> flags.FlagValues:
  """--rows, --repeats, --out, and others.

  Args:
    names: of all rows, the default of --rows.
    repeats: default; None where nothing is timed, which leaves the flag away.
    integers: name of a flag -> default and meaning.
  """
  values = flags.FlagValues()
  for define, name, default, meaning in (
    (flags.DEFINE_string, "rows", ",".join(names), "Which, with commas."),
    (flags.DEFINE_integer, "repeats", repeats, "Calls to time."),
    *((flags.DEFINE_integer, n, *rest) for n, rest in (integers or {}).items()),
    (flags.DEFINE_string, "out", None, "JSON file to write, with provenance."),
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
    argv: without the program.
    values: of `define_flags`; filled here.
    rows: all of them, by name.
    least: name of a flag -> its lowest value.

  Raises:
    UserError: there is no such row or flag, or a value is too low.
  """
  if command_line.parse(argv, values) is not None:
    raise errors.UserError("This command takes no config; leave --config away.")
  found = {
    name: errors.look_up("--rows", name, rows)
    for name in values.rows.split(",")
  }
  for name, lowest in least.items():
    if values[name].value < lowest:
      raise errors.UserError(
        f"--{name} must be at least {lowest}; got {values[name].value}."
      )
  return found


def on_cpu() -> bool:
  """Whether the peers' times, which are of processors, can be compared."""
  return jax.devices()[0].platform == "cpu"


def measured(
  rows: Mapping[str, Row],
  measure: Callable[[Row], Found],
  dtype: str = "float32",
) -> dict[str, Found]:
  """What `measure` finds for every row, printed as it comes."""
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
  """Writes the table, --repeats, what else is given, and provenance to --out.

  Nothing if there is no --out.
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

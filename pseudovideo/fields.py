"""Types of the fields that a config sets, and the one reader of them.

A field's annotation says what it may hold: `Literal["linear", "cosine"]`,
`Annotated[int, Ge(1)]`, `tuple[Size, ...]`, `Share | None`. `read` makes a
value fit or refuses it with one sentence; `check` does so for a whole object,
for classes that are made without a config. Only relations between fields are
code.
"""

import contextlib
import dataclasses
import functools
import math
import sys
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import annotated_types
import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from pseudovideo import errors

Count = Annotated[int, Ge(1)]
NotNegativeInt = Annotated[int, Ge(0)]
Seed = Annotated[int, Ge(0), Lt(2**32)]
Width = Annotated[int, Ge(1), Le(2**16)]
"""Channels, heads and the like. Larger numbers are typing errors and would
fill the memory; so for `Depth` and `Codes`."""
Depth = Annotated[int, Ge(1), Le(1000)]
"""Layers, or what a loop repeats."""
Codes = Annotated[int, Ge(2), Le(2**24)]
Dtype = Literal["float32", "bfloat16"]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Lt(1)]
"""A share of a whole, or the decay of an average: 1 would leave nothing."""


def named_fields(
  cls: type, left_out: tuple[str, ...] = ()
) -> dict[str, dataclasses.Field[Any]]:
  """The fields of a dataclass or Linen module by name."""
  return {f.name: f for f in dataclasses.fields(cls) if f.name not in left_out}


@functools.cache
def types_of(cls: type) -> dict[str, Any]:
  """The annotations of a class by the name of the field, ranges included."""
  return typing.get_type_hints(cls, include_extras=True)


def read_section(
  cls: type,
  section: Mapping[str, Any],
  path: str,
  left_out: tuple[str, ...] = (),
) -> dict[str, Any]:
  """The values of a section's fields as their types, all of them checked.

  Args:
    cls: a dataclass or Linen module.
    section: field values; lists become tuples.
    path: what the section is called in messages.
    left_out: fields that no config sets.

  Raises:
    UserError: an unknown field, a missing one, or a value that does not fit.
  """
  fields, hints = named_fields(cls, left_out), types_of(cls)
  values = {}
  for name, value in section.items():
    if name not in fields:
      raise errors.unknown(f"field of {path}", name, fields)
    values[name] = read(value, hints[name], f"{path}.{name}")
  for name, field in fields.items():
    if name not in values and not has_default(field):
      raise errors.UserError(f"The config lacks the field {path}.{name}.")
  return values


def has_default(field: dataclasses.Field[Any]) -> bool:
  """True if a field may be left out."""
  missing = dataclasses.MISSING
  return field.default is not missing or field.default_factory is not missing


def allows_none(hint: Any) -> bool:
  """True if an annotation allows None."""
  return types.NoneType in _options(hint)


def plain_type(hint: Any) -> type | None:
  """The one plain type of an annotation, None aside; None if it has several."""
  options = [o for o in _options(hint) if o is not types.NoneType]
  if options:
    kinds = {plain_type(option) for option in options}
    if kinds == {int, float}:
      return float
    return kinds.pop() if len(kinds) == 1 else None
  origin, arguments = typing.get_origin(hint), typing.get_args(hint)
  if origin is Annotated:
    return plain_type(arguments[0])
  return type(arguments[0]) if origin is Literal else origin or hint


def check(part: Any, path: str, left_out: tuple[str, ...] = ()) -> None:
  """Refuses an object with a field outside its type.

  Args:
    part: a dataclass or Linen module.
    path: what it is called in messages.
    left_out: fields that are not looked at.

  Raises:
    UserError: names the field, what it holds, and what is allowed.
  """
  cls: type = type(part)
  hints = types_of(cls)
  for name in named_fields(cls, left_out):
    read(getattr(part, name), hints[name], f"{path}.{name}")


def read(value: Any, hint: Any, path: str) -> Any:
  """The value as the annotation `hint` says, lists made tuples.

  Args:
    value: from a config.
    hint: a type of this module's docstring.
    path: the field's name in messages.

  Raises:
    UserError: it does not fit.
  """
  try:
    fitted = _fitted(value, hint)
  except ValueError:
    names = choices(hint)
    entries = value if isinstance(value, list | tuple) else (value,)
    for entry in entries if names else ():
      if isinstance(entry, str) and entry not in names:
        raise errors.unknown(path, entry, names) from None
    allowed = spoken(hint)
    long = "integer" in allowed and any(map(_is_too_long, entries))
    if long and not _ends(hint):
      allowed += " with a magnitude below 2**32"
    raise errors.UserError(
      f"{path} must be {allowed}; got {errors.shown(value)}."
    ) from None
  _check_float32(fitted, path)
  return fitted


def fits(value: Any, hint: Any) -> bool:
  """True if the annotation `hint` allows the value."""
  try:
    _fitted(value, hint)
  except ValueError:
    return False
  return True


def _fitted(value: Any, hint: Any) -> Any:
  """The value as `hint`, or a ValueError without words."""
  if isinstance(value, np.generic):
    value = value.item()
  for option in _options(hint):
    with contextlib.suppress(ValueError):
      return _fitted(value, option)
  origin, arguments = typing.get_origin(hint), typing.get_args(hint)
  if origin is Annotated:
    fitted = _fitted(value, arguments[0])
    if all(_within(fitted, bound) for bound in _bounds(arguments[1:])):
      return fitted
  elif origin is Literal:
    if any(type(value) is type(c) and value == c for c in arguments):
      return value
  elif origin is tuple and isinstance(value, list | tuple):
    return tuple(_fitted(v, arguments[0]) for v in value)
  elif hint is float and type(value) in (int, float):
    # False for nan too; integers may be beyond all floats.
    if -sys.float_info.max <= value <= sys.float_info.max:
      return float(value)
  elif hint is dict and isinstance(value, Mapping):
    return _frozen(value)
  elif type(value) is hint and not _is_too_long(value):
    return value
  raise ValueError


def _options(hint: Any) -> tuple[Any, ...]:
  """The parts of a union; none of another type."""
  if typing.get_origin(hint) in (types.UnionType, typing.Union):
    return typing.get_args(hint)
  return ()


def _is_too_long(value: Any) -> bool:
  """True if arrays would silently drop bits of an integer."""
  return type(value) is int and abs(value) >= 2**32


def _ends(hint: Any) -> bool:
  """True if an annotation, or a part of it, has a largest value."""
  parts = typing.get_args(hint)
  ends = any(isinstance(bound, Le | Lt) for bound in _bounds(parts))
  return ends or any(map(_ends, parts))


def _frozen(value: Any) -> Any:
  """A read-only form of nested mappings and lists."""
  if isinstance(value, Mapping):
    return types.MappingProxyType({n: _frozen(v) for n, v in value.items()})
  return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _within(value: Any, bound: annotated_types.BaseMetadata) -> bool:
  """True if a value, or the length of a tuple, lies within a bound."""
  match bound:
    case Ge(ge):
      return value >= ge
    case Gt(gt):
      return value > gt
    case Le(le):
      return value <= le
    case Lt(lt):
      return value < lt
    case annotated_types.Len(least, most):
      return least <= len(value) and (most is None or len(value) <= most)
  return True


def _bounds(metadata: tuple[Any, ...]) -> tuple[Any, ...]:
  """The bounds among an annotation's metadata, an interval's one by one."""
  single: list[Any] = []
  for item in metadata:
    grouped = isinstance(item, annotated_types.GroupedMetadata)
    single += item if grouped and not isinstance(item, _KNOWN) else [item]
  return tuple(item for item in single if isinstance(item, _KNOWN))


def choices(hint: Any) -> tuple[str, ...]:
  """The names among the choices of an annotation."""
  origin, arguments = typing.get_origin(hint), typing.get_args(hint)
  if origin is Literal:
    return tuple(c for c in arguments if isinstance(c, str))
  if origin in (Annotated, tuple):
    return choices(arguments[0])
  return sum((choices(option) for option in _options(hint)), ())


def _check_float32(value: Any, path: str) -> None:
  """Refuses numbers that are infinite, 0 or 1 in float32 only."""
  for number in value if isinstance(value, tuple) else (value,):
    if type(number) is not float:
      continue
    rounded = _in_float32(number)
    if rounded != number and (rounded in (0, 1) or math.isinf(rounded)):
      raise errors.UserError(
        f"{path} is {number!r}, which float32 rounds to {rounded:g}; give a "
        "number that float32 can represent."
      )


def _in_float32(number: float) -> float:
  """The number as a device rounds it: the smallest numbers become 0."""
  with np.errstate(over="ignore", under="ignore"):
    rounded = np.float32(number)
  return float(rounded) if abs(rounded) >= np.finfo("float32").tiny else 0.0


def spoken(hint: Any) -> str:
  """An annotation in words, such as "an integer of at least 1"."""
  if options := _options(hint):
    none = ["None"] * (types.NoneType in options)
    rest = [spoken(o) for o in options if o is not types.NoneType]
    return ", or ".join(none + rest)
  origin, arguments = typing.get_origin(hint), typing.get_args(hint)
  if origin is Annotated:
    match arguments[0], _bounds(arguments[1:]):
      case part, (annotated_types.Len(least, most),):
        more = "" if most == least else " or more"
        return _spoken_tuple(part, f"{least}{more} ")
      case part, bounds:
        return f"{spoken(part)}{_spoken_bounds(bounds)}"
  if origin is Literal:
    return f"one of {', '.join(repr(choice) for choice in arguments)}"
  return _spoken_tuple(hint) if origin is tuple else _WORDS[hint]


def _spoken_tuple(hint: Any, number: str = "") -> str:
  """Words such as "a tuple of 3 integers of at least 1"."""
  one = spoken(typing.get_args(hint)[0])
  for kind in (int, float, str):
    article, noun = _WORDS[kind].split(" ", 1)
    if one.startswith(f"{article} {noun}"):
      several = f"{noun}s{one.removeprefix(f'{article} {noun}')}"
      return f"a tuple of {number}{several}"
  return f"a tuple of {number}values that are each {one}"


def _spoken_bounds(bounds: tuple[annotated_types.BaseMetadata, ...]) -> str:
  match bounds:
    case (Ge(low), Le(high)):
      return f" from {low} to {high}"
    case (Ge(low), Lt(high)):
      return f" in [{low}, {high})"
    case (Gt(low), Lt(high)):
      return f" in ({low}, {high})"
    case (Gt(low), Le(high)):
      return f" in ({low}, {high}]"
  return "".join(map(_spoken_bound, bounds))


def _spoken_bound(bound: annotated_types.BaseMetadata) -> str:
  match bound:
    case Ge(0):
      return " that is not negative"
    case Ge(low):
      return f" of at least {low}"
    case Gt(low):
      return f" above {low}"
    case Le(high):
      return f" of at most {high}"
    case Lt(high):
      return f" below {high}"
  raise TypeError(f"{bound} is no bound that this module knows.")


_KNOWN = (Ge, Gt, Le, Lt, annotated_types.Len)
_WORDS = {
  int: "an integer",
  float: "a finite number",
  str: "a string",
  bool: "True or False",
  tuple: "a tuple",
  dict: "a section with fields",
  types.NoneType: "None",
}

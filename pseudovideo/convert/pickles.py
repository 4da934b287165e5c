"""Pickles read as data: a machine that can call next to nothing.

A pickle is a program, and Python's own machine lets it call any function of
any module. This one knows the instructions that `torch.save` writes, and every
function that it can call is handed to it by name.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
  "BININT",
  "BININT1",
  "BININT2",
  "LONG1",
  "BINFLOAT",
  "BINUNICODE",
  "SHORT_BINUNICODE",
  # What Python 2 wrote.
  "BINSTRING",
  "SHORT_BINSTRING",
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_STORE = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_SKIP = {"PROTO", "FRAME"}
_MARK = object()
_MAX_ARGUMENTS = 16
# Longer ones can be made to fall into one place of a dict.
_LONGEST_NAME = 2**63


class Inert:
  """Stands for an object whose contents do not matter."""


class Global:
  """A function or class that the pickle may name, and perhaps call."""

  def __init__(self, name: str, call: Callable[..., Any] | None):
    self.name = name
    self.call = call


def mapping(pairs: list | None = None) -> dict[Any, Any]:
  """Stands for an ordered mapping, empty or, as Python 2 wrote it, of pairs.

  The list of pairs is emptied, so that no pickle, by calling this with the same
  list again and again, takes more memory than its own length allows.
  """
  if pairs is None:
    return {}
  if type(pairs) is not list:
    raise TypeError
  made = {}
  for pair in pairs:
    if type(pair) not in (list, tuple) or len(pair) != 2:
      raise TypeError
    _check_name(pair[0])
    made[pair[0]] = pair[1]
  pairs.clear()
  return made


def _check_name(name: Any) -> None:
  """Of an entry of a mapping."""
  if not isinstance(name, str | int | float | None):
    raise ValueError(
      f"a mapping in its pickle has a {type(name).__name__} for a name"
    )
  if isinstance(name, int) and abs(name) >= _LONGEST_NAME:
    raise ValueError("a mapping in its pickle has a number of 64 bits or more")


def load(
  data: bytes | BinaryIO,
  known: Mapping[str, Callable[..., Any] | None],
  persistent: Callable[[Any], Any],
) -> Any:
  """Runs the program and returns the object that it builds.

  Args:
    data: the pickle, or a file at its first byte, which is read up to its last.
    known: what it may name, such as `collections.OrderedDict`, and what is
      called in its place; None where it may only be named.
    persistent: makes the objects that are kept outside of the pickle.

  Raises:
    ValueError: it names or does anything else; the message is a clause.
  """
  machine = _Machine(known, persistent)
  for opcode, arg, _ in pickletools.genops(data):
    if opcode.name == "STOP":
      break
    try:
      machine.step(opcode.name, arg)
    except (IndexError, KeyError, TypeError, AttributeError) as error:
      raise ValueError(f"its pickle is damaged at {opcode.name}") from error
  if len(machine.stack) != 1:
    raise ValueError("its pickle leaves no object, or more than one")
  return machine.stack[0]


class _Machine:
  def __init__(self, known, persistent):
    self._known = known
    self._persistent = persistent
    self._memo = {}
    self.stack = []

  def step(self, op: str, arg: Any) -> None:
    """One instruction."""
    stack = self.stack
    if op in _SKIP:
      return
    if op in _STORE:
      self._memo[len(self._memo) if op == "MEMOIZE" else arg] = stack[-1]
    elif op in _VALUES:
      stack.append(arg)
    elif op in _CONSTANTS:
      stack.append(_CONSTANTS[op])
    elif op in _TUPLES:
      stack.append(tuple(self._pop(_TUPLES[op])))
    elif hasattr(self, f"do_{op.lower()}"):
      getattr(self, f"do_{op.lower()}")(arg)
    else:
      raise ValueError(f"its pickle has the instruction {op}")

  def _pop(self, num: int) -> list[Any]:
    if num > len(self.stack):
      raise IndexError
    start = len(self.stack) - num
    taken = self.stack[start:]
    del self.stack[start:]
    return taken

  def _since_mark(self) -> list[Any]:
    taken = []
    while (value := self.stack.pop()) is not _MARK:
      taken.append(value)
    return taken[::-1]

  def do_mark(self, _):
    self.stack.append(_MARK)

  def do_tuple(self, _):
    self.stack.append(tuple(self._since_mark()))

  def do_empty_list(self, _):
    self.stack.append([])

  def do_empty_dict(self, _):
    self.stack.append({})

  def do_binget(self, number):
    self.stack.append(self._memo[number])

  do_long_binget = do_binget

  def do_append(self, _):
    self._extend(self._pop(1))

  def do_appends(self, _):
    self._extend(self._since_mark())

  def _extend(self, values):
    if type(self.stack[-1]) is not list:
      raise TypeError
    self.stack[-1].extend(values)

  def do_setitem(self, _):
    self._update(self._pop(2))

  def do_setitems(self, _):
    self._update(self._since_mark())

  def _update(self, flat):
    if type(self.stack[-1]) is not dict:
      raise TypeError
    for name, value in zip(flat[::2], flat[1::2], strict=True):
      _check_name(name)
      self.stack[-1][name] = value

  def do_global(self, name):
    name = name.replace(" ", ".")
    if name not in self._known:
      raise ValueError(
        f"it asks to run {name[:80]}, which is not among what a file of "
        f"weights may name ({', '.join(sorted(self._known))}); nothing was run"
      )
    self.stack.append(Global(name, self._known[name]))

  do_inst = do_global

  def do_stack_global(self, _):
    names = self._pop(2)
    if any(type(name) is not str for name in names):
      raise TypeError
    self.do_global(" ".join(names))

  def do_binpersid(self, _):
    self.stack.append(self._persistent(self.stack.pop()))

  def do_reduce(self, _):
    function, args = self._pop(2)
    if type(function) is not Global or function.call is None:
      raise ValueError("its pickle calls what cannot be called")
    if type(args) is not tuple or len(args) > _MAX_ARGUMENTS:
      raise TypeError
    self.stack.append(function.call(*args))

  do_newobj = do_reduce

  def do_build(self, _):
    """The attributes of an object; none matters here."""
    target, _ = self._pop(2)
    if type(target) not in (dict, Inert, np.ndarray):
      raise TypeError
    self.stack.append(target)

"""Pickles as `torch.save` writes them, read with all else forbidden.

A pickle is a program, and Python lets it call any function of any module. Here
its reader knows 38 of the 68 instructions, finds nothing but what a table
names, sets no attribute, and takes only plain names into a mapping.

It is Python's reader written in Python, `pickle._Unpickler`, whose instructions
can be replaced one by one. The reader in C would take 64 GB for one instruction
that numbers an object 2^32 - 1, and would crash on a name in a mapping that is
a million nested tuples.
"""

import pickle
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, ClassVar

_KEPT = (
  *(pickle.PROTO, pickle.FRAME, pickle.MARK, pickle.STOP),
  *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT),
  *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1),
  *(pickle.BINUNICODE, pickle.SHORT_BINUNICODE),
  # What Python 2 wrote.
  *(pickle.BINSTRING, pickle.SHORT_BINSTRING),
  *(pickle.EMPTY_TUPLE, pickle.TUPLE),
  *(pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
  *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT),
  *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE),
  *(pickle.BINGET, pickle.LONG_BINGET),
  *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BINPERSID, pickle.REDUCE),
)
# Longer numbers can be made to fall into one place of a dict.
_LONGEST_NAME = 2**63


class Inert:
  """An object whose contents do not matter."""


def mapping(pairs: list | None = None) -> dict[Any, Any]:
  """Makes an ordered mapping, empty or, as Python 2 wrote it, of pairs.

  The list of pairs is emptied, so that no pickle, by calling this with one list
  again and again, takes more memory than its own length allows.
  """
  made: dict[Any, Any] = {}
  if pairs is not None:
    if type(pairs) is not list:
      raise TypeError
    _update(made, ((name, value) for name, value in pairs))
    pairs.clear()
  return made


def load(
  file: BinaryIO,
  known: Mapping[str, Any],
  persistent: Callable[[Any], Any],
) -> Any:
  """Runs the program and returns the object that it builds.

  Args:
    file: a file at the pickle's first byte; it is read up to the last.
    known: name that the pickle may use, such as `collections.OrderedDict` ->
      object that stands for it. A function among them should take few
      arguments: the program may call it 100,000 times with a million.
    persistent: function that makes the objects kept outside of the pickle.

  Raises:
    ValueError: the program names or does anything else; the message is a
      clause.
  """
  try:
    return _Reader(file, known, persistent).load()
  except (
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    UnicodeDecodeError,
    pickle.UnpicklingError,
    struct.error,
  ) as error:
    raise ValueError(
      "its pickle is damaged, or does more than build tensors"
    ) from error


class _Reader(pickle._Unpickler):
  # What the base class has and its published types do not name.
  stack: list[Any]
  pop_mark: Callable[[], list[Any]]

  dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
    code[0]: pickle._Unpickler.dispatch[code[0]] for code in _KEPT
  }

  def __init__(self, file, known, persistent):
    super().__init__(file, encoding="latin-1")
    self._known = known
    self._persistent = persistent

  def find_class(self, module: str, name: str) -> Any:
    full = f"{module}.{name}"
    if full not in self._known:
      raise ValueError(
        f"it asks to run {full[:80]}, which is not among what a file of "
        f"weights may name ({', '.join(sorted(self._known))}); nothing was run"
      )
    return self._known[full]

  def persistent_load(self, pid: Any) -> Any:
    return self._persistent(pid)

  def set_item(self):
    value, name = self.stack.pop(), self.stack.pop()
    _update(self.stack[-1], [(name, value)])

  def set_items(self):
    flat = self.pop_mark()
    _update(self.stack[-1], zip(flat[::2], flat[1::2], strict=True))

  def new_object(self):
    """Calls the class, as REDUCE does."""
    self.dispatch[pickle.REDUCE[0]](self)

  def build(self):
    """Drops the attributes of an object; none matters here."""
    self.stack.pop()

  dispatch |= {
    pickle.SETITEM[0]: set_item,
    pickle.SETITEMS[0]: set_items,
    pickle.NEWOBJ[0]: new_object,
    pickle.BUILD[0]: build,
  }


def _update(target: Any, pairs: Iterable[tuple[Any, Any]]) -> None:
  """Adds entries whose names are plain, and so soon hashed and compared."""
  if type(target) is not dict:
    raise TypeError
  for name, value in pairs:
    if not isinstance(name, str | int | float | None):
      raise ValueError(
        f"a mapping in its pickle has a {type(name).__name__} for a name"
      )
    if isinstance(name, int) and abs(name) >= _LONGEST_NAME:
      raise ValueError(
        "a mapping in its pickle has a number of 64 bits or more"
      )
    target[name] = value

"""The pickles of `torch.save`: names that they may use, and their tensors.

The numbers lie outside of the pickle, in storages. A pickle is read first, and
what it says of tensors and storages is checked; then the storages are read, and
the tensors are views of them.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

from pseudovideo.files import pickles

# A network of 600 tensors needs 0.1 MB.
PICKLE_LIMIT = 4 * 2**20

MAX_AXES = 64  # numpy's

STORAGES = {
  "DoubleStorage": "<f8",
  "FloatStorage": "<f4",
  "HalfStorage": "<f2",
  "BFloat16Storage": jnp.bfloat16,
  "LongStorage": "<i8",
  "IntStorage": "<i4",
  "ShortStorage": "<i2",
  "CharStorage": "i1",
  "ByteStorage": "u1",
  "BoolStorage": "?",
}


class Storage(NamedTuple):
  """A row of numbers, as a pickle claims it.

  Attributes:
    dtype: type of the numbers.
    length: number of numbers.
  """

  dtype: np.dtype
  length: int


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
  """The numbers of a storage from `begin` on, as many as `length`."""

  key: str
  begin: int
  length: int


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
  """A view of a part of a storage; strides count numbers, not bytes."""

  part: _Part
  offset: int
  size: tuple[int, ...]
  stride: tuple[int, ...]

  def array(self, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    """Makes the view, read-only; `storages` are 1-D arrays by key."""
    storage = storages[self.part.key]
    if not math.prod(self.size):
      return np.zeros(self.size, storage.dtype)
    return np.lib.stride_tricks.as_strided(
      storage[self.part.begin + self.offset :],
      self.size,
      [step * storage.itemsize for step in self.stride],
      writeable=False,
    )


def load(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
  """Reads the pickle that begins where the file is.

  Returns:
    The object, in which tensors are `Tensor`s, and the storages that it names,
    by key.

  Raises:
    ValueError: the pickle is damaged, or does anything but build tensors and
      plain containers; the message is a clause.
  """
  storages: dict[str, Storage] = {}

  def persistent(named: Any) -> _Part:
    key, storage, part = _parsed(named)
    if storages.setdefault(key, storage) != storage:
      raise ValueError(f"its storage {key!r} is named with two sizes")
    return part

  return pickles.load(file, _KNOWN, persistent), storages


def state_dict(
  loaded: Any, storages: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Finds the one mapping of names to tensors in the object of a file.

  Args:
    loaded: the object: that mapping, or a mapping with it among its values.
    storages: 1-D arrays by key.

  Raises:
    ValueError: there is no such mapping, or more than one; the message is a
      clause.
  """
  if not isinstance(loaded, dict):
    raise ValueError(
      f"it holds a {type(loaded).__name__} and no mapping of names to tensors"
    )
  if not _is_state_dict(loaded):
    # A pickle may name one object many times.
    different = {id(value): value for value in loaded.values()}
    good = {key for key, value in different.items() if _is_state_dict(value)}
    found = [name for name, value in loaded.items() if id(value) in good]
    if len(found) != 1:
      raise ValueError(
        f"of its entries, {', '.join(map(repr, list(loaded)[:8]))}, "
        f"{len(found) or 'none'} are mappings of names to tensors, and one "
        "should be"
      )
    loaded = loaded[found[0]]
  return {name: tensor.array(storages) for name, tensor in loaded.items()}


def _is_state_dict(value: Any) -> bool:
  return (
    isinstance(value, dict)
    and len(value) > 0
    and all(
      isinstance(name, str) and isinstance(tensor, Tensor)
      for name, tensor in value.items()
    )
  )


def _parsed(named: Any) -> tuple[str, Storage, _Part]:
  """Checks ("storage", type, key, device, length), and perhaps a part behind.

  A part, in files before torch 1.6, is None or (another key, its begin, its
  length).
  """
  if type(named) is not tuple or len(named) not in (5, 6):
    raise TypeError
  tag, dtype, key, _, length, *rest = named
  begin, taken = 0, length
  if rest and rest[0] is not None:
    if type(rest[0]) is not tuple or len(rest[0]) != 3:
      raise TypeError
    _, begin, taken = rest[0]
  numbers = (length, begin, taken)
  if tag != "storage" or type(key) is not str or type(dtype) is not _Type:
    raise TypeError
  if any(type(number) is not int for number in numbers):
    raise TypeError
  if min(numbers) < 0 or begin + taken > length:
    raise ValueError(
      f"its storage {key!r} is named with the length {length}, and of it "
      f"{taken} numbers from {begin} on"
    )
  return key, Storage(dtype.dtype, length), _Part(key, begin, taken)


@dataclasses.dataclass(frozen=True)
class _Type:
  """A class of storages."""

  dtype: np.dtype


def _tensor(
  part, offset, size, stride, requires_grad=None, hooks=None, metadata=None
) -> Tensor:
  """Checks the view against its part of the storage."""
  if {type(size), type(stride)} - {tuple, list} or len(size) > MAX_AXES:
    raise TypeError
  numbers = (offset, *size, *stride[: MAX_AXES + 1])
  if type(part) is not _Part or any(
    type(n) is not int or n >= 2**63 for n in numbers
  ):
    raise TypeError
  count = math.prod(size)
  last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=False))
  inside = not count or (last < part.length and count <= part.length)
  if len(size) != len(stride) or min(numbers) < 0 or not inside:
    raise ValueError(
      f"a tensor of shape {size} and strides {stride[:MAX_AXES]} does not fit "
      f"its storage of {part.length} numbers"
    )
  return Tensor(part, offset, tuple(size), tuple(stride))


def _parameter(tensor, requires_grad=None, hooks=None) -> Tensor:
  if type(tensor) is not Tensor:
    raise TypeError
  return tensor


_KNOWN = {
  f"torch.{name}": _Type(np.dtype(kind)) for name, kind in STORAGES.items()
} | {
  "torch._utils._rebuild_tensor": _tensor,
  "torch._utils._rebuild_tensor_v2": _tensor,
  "torch._utils._rebuild_parameter": _parameter,
  "torch.nn.parameter.Parameter": _parameter,
  "collections.OrderedDict": pickles.mapping,
  "argparse.Namespace": pickles.Inert,
}

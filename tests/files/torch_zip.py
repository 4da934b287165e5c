"""Writes files as `torch.save` does and did, without torch.

Python's own pickler writes the pickle; modules of the names that torch's files
mention are there for as long as it runs.
"""

import argparse
import collections
import contextlib
import dataclasses
import io
import pickle
import sys
import types
import zipfile

import numpy as np

TYPES = {
  "float64": "DoubleStorage",
  "float32": "FloatStorage",
  "float16": "HalfStorage",
  "bfloat16": "BFloat16Storage",
  "int64": "LongStorage",
  "bool": "BoolStorage",
}


@dataclasses.dataclass(eq=False)
class Tensor:
  """A view of a storage, in torch's terms.

  Attributes:
    storage: flat array.
    offset: place of the first number.
    size: shape.
    stride: steps in numbers.
    length: claim of the pickle for the storage; None: the true one.
    parameter: wrap it as a parameter of a module.
    part: (begin, length) of the storage, where the tensor's own is a part of
      it; in legacy files.
  """

  storage: np.ndarray
  offset: int
  size: tuple[int, ...]
  stride: tuple[int, ...]
  length: int | None = None
  parameter: bool = False
  part: tuple[int, int] | None = None


def tensor(array, **fields) -> Tensor:
  """A contiguous one, with a storage of its own."""
  array = np.array(array, order="C")
  stride = tuple(step // array.itemsize for step in array.strides)
  return Tensor(array.reshape(-1), 0, array.shape, stride, **fields)


class Storage:
  def __init__(self, tensor):
    self.tensor = tensor


class Pickler(pickle.Pickler):
  def __init__(self, file, torch, protocol):
    super().__init__(file, protocol)
    self.torch = torch
    self.storages = []

  def persistent_id(self, obj):
    if not isinstance(obj, Storage):
      return None
    array, length = obj.tensor.storage, obj.tensor.length
    keys = [i for i, known in enumerate(self.storages) if known is array]
    if not keys:
      keys = [len(self.storages)]
      self.storages.append(array)
    kind = getattr(self.torch, TYPES[array.dtype.name])
    length = array.size if length is None else length
    return ("storage", kind, str(keys[0]), "cpu", length, *self.more(obj))

  def more(self, storage):
    return ()

  def reducer_override(self, obj):
    if not isinstance(obj, Tensor):
      return NotImplemented
    hooks = collections.OrderedDict()
    utils = self.torch._utils
    if obj.parameter:
      plain = dataclasses.replace(obj, parameter=False)
      return utils._rebuild_parameter, (plain, True, hooks)
    args = (Storage(obj), obj.offset, obj.size, obj.stride, False, hooks)
    return utils._rebuild_tensor_v2, args


class LegacyPickler(Pickler):
  def more(self, storage):
    part = storage.tensor.part
    return (None if part is None else (f"part {part}", *part),)


@contextlib.contextmanager
def modules():
  """`torch` and `torch._utils` with the names that are pickled."""
  torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
  torch._utils = utils
  for name in TYPES.values():
    setattr(torch, name, type(name, (), {"__module__": "torch"}))
  for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):

    def function():
      raise AssertionError

    function.__name__ = function.__qualname__ = name
    function.__module__ = "torch._utils"
    setattr(utils, name, function)
  before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
  sys.modules |= {"torch": torch, "torch._utils": utils}
  try:
    yield torch
  finally:
    for name, module in before.items():
      sys.modules.pop(name)
      if module is not None:
        sys.modules[name] = module


def save(path, obj, *, protocol=2, compression=zipfile.ZIP_STORED, extra=()):
  """Writes `obj`, numpy arrays in it only inside of `Tensor`s."""
  file = io.BytesIO()
  with modules() as torch:
    pickler = Pickler(file, torch, protocol)
    pickler.dump(obj)
  save_pickle(path, file.getvalue(), pickler.storages, compression, extra)


def save_pickle(
  path, data, storages=(), compression=zipfile.ZIP_STORED, extra=()
):
  """Writes an archive around a pickle."""
  with zipfile.ZipFile(path, "w", compression) as archive:
    archive.writestr("archive/data.pkl", data)
    for key, storage in enumerate(storages):
      archive.writestr(f"archive/data/{key}", storage.tobytes())
    archive.writestr("archive/version", b"3\n")
    for name, content in extra:
      archive.writestr(name, content)


MACHINE = {
  "protocol_version": 1001,
  "little_endian": True,
  "type_sizes": {"short": 2, "int": 4, "long": 4},
}


def save_legacy(path, obj, *, protocol=2, **fields):
  """Writes `obj` as torch before 1.6 did; see `save_legacy_pickle`."""
  file = io.BytesIO()
  with modules() as torch:
    pickler = LegacyPickler(file, torch, protocol)
    pickler.dump(obj)
  save_legacy_pickle(path, file.getvalue(), pickler.storages, **fields)


def save_legacy_pickle(
  path,
  data,
  storages=(),
  *,
  magic=0x1950A86A20F9469CFC6C,
  version=1001,
  machine=MACHINE,
  keys=None,
  counts=None,
  end=b"",
):
  """Writes a legacy file around the pickle of its objects.

  Args:
    path: path of the file.
    data: the pickle.
    storages: arrays; the keys are their numbers, from the last to the first.
    magic: content of the first pickle.
    version: content of the second.
    machine: content of the third.
    keys: content of the last; None: those of `storages`.
    counts: numbers of numbers, before each storage; None: the true ones.
    end: bytes behind the last storage.
  """
  order = range(len(storages))[::-1]
  keys = [str(number) for number in order] if keys is None else keys
  counts = counts or [storages[number].size for number in order]
  with open(path, "wb") as file:
    for value in (magic, version, machine):
      pickle.dump(value, file, protocol=2)
    file.write(data)
    pickle.dump(keys, file, protocol=2)
    for number, count in zip(order, counts, strict=True):
      file.write(count.to_bytes(8, "little", signed=count < 0))
      file.write(storages[number].tobytes())
    file.write(end)


def state_dict(arrays) -> collections.OrderedDict:
  """The state dict of a torch module: ordered, with an attribute."""
  ordered = collections.OrderedDict(
    (name, tensor(array)) for name, array in arrays.items()
  )
  ordered._metadata = collections.OrderedDict([("", {"version": 1})])
  return ordered


def namespace(**fields) -> argparse.Namespace:
  return argparse.Namespace(**fields)

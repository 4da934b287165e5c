"""What the pickles of `torch.save` may name, and how tensors are rebuilt."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from pseudovideo.convert import pickles

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


def known(
  tensor: Callable[..., Any], parameter: Callable[..., Any]
) -> dict[str, Callable[..., Any] | None]:
  """The names that `pickles.load` takes.

  Args:
    tensor: called for tensors, as `rebuild` is.
    parameter: called for parameters, with the tensor first.
  """
  return {f"torch.{storage}": None for storage in STORAGES} | {
    "torch._utils._rebuild_tensor": tensor,
    "torch._utils._rebuild_tensor_v2": tensor,
    "torch._utils._rebuild_parameter": parameter,
    "torch.nn.parameter.Parameter": parameter,
    "collections.OrderedDict": pickles.mapping,
    "argparse.Namespace": pickles.Inert,
  }


def storage_dtype(kind: pickles.Global) -> np.dtype:
  """The type of the numbers in a class of storages."""
  return np.dtype(STORAGES[kind.name.removeprefix("torch.")])


def rebuild(storage, offset, size, stride, *_) -> np.ndarray:
  """A view of the storage; strides count numbers, not bytes."""
  if {type(size), type(stride)} - {tuple, list} or len(size) > MAX_AXES:
    raise TypeError
  numbers = (offset, *size, *stride[: MAX_AXES + 1])
  if type(storage) is not np.ndarray or any(
    type(n) is not int or n >= 2**63 for n in numbers
  ):
    raise TypeError
  count = math.prod(size)
  last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=False))
  inside = not count or (last < storage.size and count <= storage.size)
  if len(size) != len(stride) or min(numbers) < 0 or not inside:
    raise ValueError(
      f"a tensor of shape {size} and strides {stride[:MAX_AXES]} does not fit "
      f"its storage of {storage.size} numbers"
    )
  if not count:
    return np.zeros(size, storage.dtype)
  return np.lib.stride_tricks.as_strided(
    storage[offset:],
    size,
    [step * storage.itemsize for step in stride],
    writeable=False,
  )


def _parameter(tensor, *_) -> np.ndarray:
  return tensor


KNOWN = known(rebuild, _parameter)

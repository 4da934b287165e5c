"""Files of `torch.save` before torch 1.6, and what could be put in them."""

import collections
import os
import pickle
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import convert, errors
from tests.convert import test_files, torch_zip

RNG = np.random.default_rng(0)
ARRAYS = {
  "a.weight": RNG.normal(size=(4, 3, 2)).astype(np.float32),
  "double": RNG.normal(size=4),
  "half": RNG.normal(size=(2, 2)).astype(np.float16),
  "brain": RNG.normal(size=3).astype(jnp.bfloat16),
  "steps": np.array(7),
  "flag": np.array([True]),
  "b.weight": RNG.normal(size=(1, 5)).astype(np.float32),
  "none": np.zeros((0, 3), np.float32),
}
SIX = np.arange(6, dtype=np.float32)


@pytest.fixture
def path(tmp_path):
  return tmp_path / "weights"


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_round_trip(path, protocol):
  weights = torch_zip.state_dict(ARRAYS)
  torch_zip.save_legacy(path, weights, protocol=protocol)
  found = convert.read(path)
  test_files.assert_same(found, ARRAYS)
  # An odd number of bytes precedes them, and jax takes them all the same.
  assert not found["a.weight"].flags.aligned
  test_files.assert_same(
    {"a": jnp.asarray(found["a.weight"])}, {"a": ARRAYS["a.weight"]}
  )


def test_numbers_are_views_of_the_file(path):
  big = np.arange(2_000_000, dtype=np.float32)
  torch_zip.save_legacy(path, torch_zip.state_dict({"a": big}))
  convert.read(path)
  tracemalloc.start()
  try:
    found = convert.read(path)["a"]
    # The pickles are looked for in the first four megabytes.
    assert tracemalloc.get_traced_memory()[0] < 2**18
  finally:
    tracemalloc.stop()
  np.testing.assert_array_equal(found, big)
  with pytest.raises(ValueError, match="read-only"):
    found[0] = 1


def test_views_parts_and_parameters(path):
  base = RNG.normal(size=24).astype(np.float32)
  views = {
    "whole": torch_zip.Tensor(base, 0, (4, 6), (6, 1)),
    "transposed": torch_zip.Tensor(base, 0, (6, 4), (1, 6)),
    "strided": torch_zip.Tensor(base, 7, (2, 3), (6, 2)),
    "part": torch_zip.Tensor(base, 1, (3,), (2,), part=(10, 6)),
    "parameter": torch_zip.tensor(base[:5], parameter=True),
  }
  torch_zip.save_legacy(path, {"state_dict": views, "epoch": 3})
  test_files.assert_same(
    convert.read(path),
    {
      "whole": base.reshape(4, 6),
      "transposed": base.reshape(4, 6).T,
      "strided": np.stack([base[[7, 9, 11]], base[[13, 15, 17]]]),
      "part": base[[11, 13, 15]],
      "parameter": base[:5],
    },
  )


def program(*, length=6, part=b"N", size=6, wrap=b""):
  """{"a": tensor}, as Python 2 and torch before 0.4 wrote it."""
  tensor = (
    b"ctorch._utils\n_rebuild_tensor\n((U\x07storagectorch\nFloatStorage\n"
    b"U\x010U\x03cpuK%c%btQK\x00K%c\x85K\x01\x85tR" % (length, part, size)
  )
  if wrap:
    tensor = b"ctorch.nn.parameter\nParameter\n" + tensor + b"\x85R" + wrap
  pairs = b"]](U\x01a" + tensor + b"ea"
  return b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R}b."


@pytest.mark.parametrize("wrap", [b"", b"\x88\x89N\x87b"])
def test_python_2(path, wrap):
  """Byte strings, ordered mappings made of pairs, and parameters as a class."""
  torch_zip.save_legacy_pickle(path, program(wrap=wrap), [SIX])
  test_files.assert_same(convert.read(path), {"a": SIX})


@pytest.mark.parametrize("place", ["alone", "magic", "machine", "objects"])
def test_nothing_is_executed(path, tmp_path, place):
  trace = tmp_path / "trace"
  evil = test_files.Evil(os.system, (f"touch {trace}",))
  if place == "alone":
    path.write_bytes(pickle.dumps(evil, 2))
  elif place == "objects":
    torch_zip.save_legacy(path, {"a": torch_zip.tensor(SIX), "b": evil})
  else:
    torch_zip.save_legacy(path, {}, **{place: evil})
  said = test_files.refused(path)
  assert "it asks to run posix.system, which is not among" in said
  assert not trace.exists()
  # It is a true weapon: Python's own reader would have run it.
  pickle.loads(pickle.dumps(evil, 2))
  assert trace.exists()


@pytest.mark.parametrize(
  ("data", "said"),
  [
    (b"cbuiltins\neval\n(V1\ntR.", "asks to run builtins.eval, which"),
    (b"ctorch\nFloatTensor\n)R.", "asks to run torch.FloatTensor, which"),
    (b"U\x01aQ.", "damaged at BINPERSID"),
    (b"(U\x07storagectorch\nFloatStorage\nU\x010NK\x01tQ.", "at BINPERSID"),
    (b"(U\x06modulectorch\nFloatStorage\nU\x010NK\x01NtQ.", "at BINPERSID"),
    (b"(U\x07storageNU\x010NK\x01NtQ.", "damaged at BINPERSID"),
    (b"}.", "it lists 1 storages, which are not the 0 that its tensors name"),
    (program(length=7, size=7)[2:], "should end at byte"),
    (program(length=5, size=5)[2:], "'0' has 6 numbers and should have 5"),
    (program(size=7)[2:], "shape (7,) and strides (1,) does not fit its stora"),
    (program(part=b"U\x01vK\x02K\x05\x87")[2:], "it 5 numbers from 2 on"),
    (program(part=b"U\x01vK\x02K\x03\x87")[2:], "fit its storage of 3 numbers"),
    (program(part=b"U\x01vJ\xff\xff\xff\xffK\x03\x87")[2:], "from -1 on"),
    (program(part=b"U\x01vNK\x03\x87")[2:], "damaged at BINPERSID"),
  ],
)
def test_pickles_that_lie(path, data, said):
  torch_zip.save_legacy_pickle(path, b"\x80\x02" + data, [SIX])
  assert said in test_files.refused(path)


@pytest.mark.parametrize(
  ("fields", "said"),
  [
    ({"magic": 7}, "it is a pickle that does not begin as those of torch"),
    ({"magic": {}}, "it is a pickle that does not begin as those of torch"),
    ({"version": 1002}, "its version is 1002 and not 1001"),
    ({"machine": {"little_endian": False}}, "not little-endian"),
    ({"machine": {}}, "not little-endian"),
    ({"machine": 3}, "not little-endian"),
    ({"keys": ["0", "0"]}, "lists 2 storages, which are not the 2 that its"),
    ({"keys": ["1", "0", "0"]}, "lists 3 storages, which are not the 2"),
    ({"keys": ["0"]}, "lists 1 storages, which are not the 2"),
    ({"keys": ["0", "2"]}, "lists 2 storages, which are not the 2"),
    ({"keys": [0, 1]}, "it lacks the list of its storages"),
    ({"keys": 3}, "it lacks the list of its storages"),
    ({"keys": ["0", "1"]}, "'0' has 2 numbers and should have 6"),
    ({"counts": [-2, 6]}, f"'1' has {2**64 - 2} numbers and should have 2"),
    ({"counts": [2, 2**62]}, f"'0' has {2**62} numbers and should have 6"),
    ({"end": b"x"}, "1 bytes follow its last storage"),
  ],
)
def test_damage(path, fields, said):
  weights = torch_zip.state_dict({"a": SIX, "b": SIX[:2]})
  torch_zip.save_legacy(path, weights, **fields)
  assert said in test_files.refused(path)


@pytest.mark.parametrize("length", [-1, 10**12, 10**30])
def test_storages_of_impossible_lengths(path, length):
  tensor = torch_zip.Tensor(SIX, 0, (6,), (1,), length)
  torch_zip.save_legacy(path, {"a": tensor})
  tracemalloc.start()
  try:
    said = test_files.refused(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
  finally:
    tracemalloc.stop()
  assert "should end at byte" in said or "named with the length -1" in said


def test_one_storage_named_with_two_sizes(path):
  views = [torch_zip.Tensor(SIX, 0, (3,), (1,), n) for n in (6, 3)]
  torch_zip.save_legacy(path, dict(zip("ab", views, strict=True)))
  said = test_files.refused(path)
  assert "its storage '0' is named with two sizes" in said


def test_other_pickles(path):
  path.write_bytes(pickle.dumps(collections.OrderedDict(a=1), 2))
  assert "does not begin as those of torch" in test_files.refused(path)


def test_every_shortened_and_many_changed_files_are_sentences(path):
  arrays = {"a": SIX, "b": np.ones((2, 2), np.float16), "c": np.array(1)}
  torch_zip.save_legacy(path, torch_zip.state_dict(arrays))
  whole = path.read_bytes()
  for end in range(len(whole)):
    path.write_bytes(whole[:end])
    test_files.refused(path)
  for place in range(len(whole)):
    path.write_bytes(
      whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :]
    )
    try:
      found = convert.read(path)
    except errors.UserError:
      continue
    assert all(array.size <= 6 for array in found.values())

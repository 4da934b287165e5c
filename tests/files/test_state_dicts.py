"""Files of weights in every format; hostile ones: `test_hostile_weights.py`."""

import tracemalloc
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import convert, errors
from tests.files import hostile_pickles, hostile_safetensors, torch_zip

RNG = np.random.default_rng(0)
ARRAYS = {
  "a.weight": RNG.normal(size=(4, 3, 2)).astype(np.float32),
  "a.bias": RNG.normal(size=4),
  "half": RNG.normal(size=(2, 2)).astype(np.float16),
  "brain": RNG.normal(size=3).astype(jnp.bfloat16),
  "steps": np.array(7),
  "flags": np.array([True]),
  "none": np.zeros((0, 3), np.float32),
}


def assert_same(found, expected):
  assert set(found) == set(expected)
  for name, array in expected.items():
    assert found[name].dtype == array.dtype
    assert found[name].shape == array.shape
    np.testing.assert_array_equal(
      np.float64(found[name]), np.float64(array), err_msg=name
    )


@pytest.fixture
def path(tmp_path):
  return tmp_path / "weights"


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_what_is_written_is_read(tmp_path, suffix):
  path = tmp_path / "folder" / f"weights{suffix}"
  arrays = {name: ARRAYS[name] for name in ("a.weight", "none")}
  convert.write(path, arrays)
  assert_same(convert.read(path), arrays)
  assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_ending_is_refused(tmp_path):
  with pytest.raises(errors.UserError, match=r"\.npz, \.safetensors"):
    convert.write(tmp_path / "weights.pt", ARRAYS)
  assert not list(tmp_path.iterdir())


def test_npz(path):
  known = {n: a for n, a in ARRAYS.items() if n != "brain"}
  known["fortran"] = np.asfortranarray(ARRAYS["a.weight"])
  with path.open("wb") as file:
    np.savez(file, **known)
  assert_same(convert.read(path), known)


def test_safetensors_of_all_types(path):
  codes = ("F32", "F64", "F16", "BF16", "I64", "BOOL", "F32")
  codes = dict(zip(ARRAYS, codes, strict=True))
  header, data = {"__metadata__": {"format": "pt"}}, b""
  # In the file in another order than in the header.
  places = {}
  for name, array in reversed(ARRAYS.items()):
    places[name] = (len(data), len(data) + array.nbytes)
    data += array.tobytes()
  for name, array in ARRAYS.items():
    header[name] = hostile_safetensors.entry(
      codes[name], list(array.shape), *places[name]
    )
  path.write_bytes(hostile_safetensors.file(header, data))
  assert_same(convert.read(path), ARRAYS)


SAVE = {"zip": torch_zip.save, "legacy": torch_zip.save_legacy}


@pytest.mark.parametrize("form", SAVE)
@pytest.mark.parametrize("protocol", [2, 4])
def test_torch(path, form, protocol):
  SAVE[form](path, torch_zip.state_dict(ARRAYS), protocol=protocol)
  found = convert.read(path)
  assert_same(found, ARRAYS)
  if form == "legacy":
    # Some follow an odd number of bytes, and jax takes them all the same.
    assert not all(array.flags.aligned for array in found.values())
    for name in ("a.weight", "half", "brain"):
      np.testing.assert_array_equal(jnp.asarray(found[name]), ARRAYS[name])


@pytest.mark.parametrize("form", SAVE)
def test_torch_views_and_parameters(path, form):
  """Strides, offsets and one storage behind several tensors."""
  base = RNG.normal(size=24).astype(np.float32)
  views = {
    "whole": torch_zip.Tensor(base, 0, (4, 6), (6, 1)),
    "transposed": torch_zip.Tensor(base, 0, (6, 4), (1, 6)),
    "strided": torch_zip.Tensor(base, 7, (2, 3), (6, 2)),
    "last": torch_zip.Tensor(base, 23, (), ()),
    "parameter": torch_zip.tensor(base[:5], parameter=True),
  }
  expected = {
    "whole": base.reshape(4, 6),
    "transposed": base.reshape(4, 6).T,
    "strided": np.stack([base[[7, 9, 11]], base[[13, 15, 17]]]),
    "last": base[23],
    "parameter": base[:5],
  }
  if form == "legacy":
    views["part"] = torch_zip.Tensor(base, 1, (3,), (2,), part=(10, 6))
    expected["part"] = base[[11, 13, 15]]
    SAVE[form](path, {"state_dict": views, "epoch": 3})
  else:
    SAVE[form](path, views)
    assert len(zipfile.ZipFile(path).namelist()) == 4
  assert_same(convert.read(path), expected)


def test_a_state_dict_beside_other_things(path):
  """A checkpoint of flexible video diffusion."""
  weights = {"a": ARRAYS["a.weight"]}
  checkpoint = {
    "state_dict": torch_zip.state_dict(weights),
    "config": torch_zip.namespace(lr=1e-4, name="x", layers=[1, 2], big=2**70),
    "more": {"lr": 1e-4, "list": [1, 2.5, None, True, (1,)], "empty": {}},
    "step": 1000,
  }
  little = [("archive/byteorder", b"little")]
  torch_zip.save(path, checkpoint, extra=little)
  assert_same(convert.read(path), weights)


@pytest.mark.parametrize("wrap", [b"", b"\x88\x89N\x87b"])
def test_python_2(path, wrap):
  """Byte strings, ordered mappings made of pairs, and parameters as a class."""
  six = np.arange(6, dtype=np.float32)
  program = b"\x80\x02" + hostile_pickles.legacy_program(wrap=wrap)
  torch_zip.save_legacy_pickle(path, program, [six])
  assert_same(convert.read(path), {"a": six})


def test_numbers_of_a_legacy_file_are_views_of_it(path):
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


def test_compressed_archives_are_not_unpacked(path):
  """A thousandfold: 20 kB would be 20 MB."""
  bomb = np.zeros(5_000_000, np.float32)
  torch_zip.save(
    path, {"a": torch_zip.tensor(bomb)}, compression=zipfile.ZIP_DEFLATED
  )
  assert path.stat().st_size < 40_000
  tracemalloc.start()
  try:
    with pytest.raises(errors.UserError, match=r"'archive/data.pkl' is compr"):
      convert.read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
  finally:
    tracemalloc.stop()

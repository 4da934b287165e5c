"""Files of weights: every format, and what a stranger could put in them."""

import json
import os
import pathlib
import pickle
import tracemalloc
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import convert, errors
from tests.convert import torch_zip

RNG = np.random.default_rng(0)
ARRAYS = {
  "a.weight": RNG.normal(size=(4, 3, 2)).astype(np.float32),
  "a.bias": RNG.normal(size=4),
  "half": RNG.normal(size=(2, 2)).astype(np.float16),
  "brain": RNG.normal(size=3).astype(jnp.bfloat16),
  "steps": np.array(7),
  "flags": np.array([True, False]),
  "none": np.zeros((0, 3), np.float32),
}


def assert_same(found, expected):
  assert list(found) == list(expected)
  for name, array in expected.items():
    assert found[name].dtype == array.dtype
    assert found[name].shape == array.shape
    np.testing.assert_array_equal(
      np.float64(found[name]), np.float64(array), err_msg=name
    )


def refused(path):
  """The sentence about a file."""
  with pytest.raises(errors.UserError) as caught:
    convert.read(path)
  said = str(caught.value)
  assert said.endswith(".") and "\n" not in said
  assert said.startswith(f"{path} cannot be read as ")
  return said


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
  with pytest.raises(errors.UserError, match=r"Choose one of: .npz, .safete"):
    convert.write(tmp_path / "weights.pt", ARRAYS)
  assert not list(tmp_path.iterdir())


def test_npz(path):
  known = {n: a for n, a in ARRAYS.items() if n != "brain"}
  known["fortran"] = np.asfortranarray(ARRAYS["a.weight"])
  with path.open("wb") as file:
    np.savez(file, **known)
  assert_same(convert.read(path), known)


# --- safetensors ---


def entry(dtype, shape, *places):
  return {"dtype": dtype, "shape": shape, "data_offsets": list(places)}


def save_safetensors(path, header, data=b""):
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  path.write_bytes(len(text).to_bytes(8, "little") + text + data)


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
    header[name] = entry(codes[name], list(array.shape), *places[name])
  save_safetensors(path, header, data)
  assert_same(convert.read(path), ARRAYS)


@pytest.mark.parametrize(
  ("header", "data", "said"),
  [
    ({"a": entry("F32", [2], 0, 8)}, b"1234", "arrays have 8 bytes and the fi"),
    ({"a": entry("F32", [2], 0, 8)}, bytes(12), "8 bytes and the file has 12"),
    ({"a": entry("F32", [10**15], 0, 8)}, bytes(8), "needs 4000000000000000 b"),
    ({"a": entry("F32", [2], 8, 0)}, bytes(8), "'a' of shape (2,) needs 8 byt"),
    ({"a": entry("F32", [-2, -1], 0, 8)}, bytes(8), "the shape [-2, -1] at"),
    ({"a": entry("F32", [True], 0, 4)}, bytes(4), "the shape [True] at"),
    ({"a": entry("F32", "2", 0, 8)}, bytes(8), "the shape '2' at"),
    ({"a": entry("F8_E4M3", [2], 0, 2)}, bytes(2), "of type 'F8_E4M3', not on"),
    ({"a": {"dtype": "F32"}}, b"", "'a' lacks its dtype, shape or data_off"),
    (
      {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)},
      bytes(12),
      "'b' begins at byte 4 of the data, where the array before it ends at 8",
    ),
    (
      {"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 8, 12)},
      bytes(12),
      "'b' begins at byte 8 of the data, where the array before it ends at 4",
    ),
    (b'{"a": 1, "a": 2}', b"", "a name occurs twice in its header"),
    (b"{" * 100_000, b"", "cannot be read"),
    (b'{"a": ', b"", "Expecting value"),
  ],
)
def test_safetensors_that_lie(path, header, data, said):
  save_safetensors(path, header, data)
  assert said in refused(path)


def test_a_header_longer_than_the_file_or_the_limit(path):
  path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
  assert f"its header would have {2**60} bytes" in refused(path)
  with path.open("wb") as file:
    file.write((2**30).to_bytes(8, "little") + b"{")
    file.truncate(2**30 + 8)
  assert "and at most 4194304 are read" in refused(path)


# --- torch ---


@pytest.mark.parametrize("protocol", [2, 4])
def test_torch(path, protocol):
  torch_zip.save(path, torch_zip.state_dict(ARRAYS), protocol=protocol)
  assert_same(convert.read(path), ARRAYS)


def test_torch_views_and_parameters(path):
  """Strides, offsets and one storage behind several tensors."""
  base = RNG.normal(size=24).astype(np.float32)
  views = {
    "whole": torch_zip.Tensor(base, 0, (4, 6), (6, 1)),
    "transposed": torch_zip.Tensor(base, 0, (6, 4), (1, 6)),
    "part": torch_zip.Tensor(base, 7, (2, 3), (6, 2)),
    "last": torch_zip.Tensor(base, 23, (), ()),
    "parameter": torch_zip.tensor(base[:5], parameter=True),
  }
  torch_zip.save(path, views)
  matrix = base.reshape(4, 6)
  assert_same(
    convert.read(path),
    {
      "whole": matrix,
      "transposed": matrix.T,
      "part": np.stack([base[[7, 9, 11]], base[[13, 15, 17]]]),
      "last": base[23],
      "parameter": base[:5],
    },
  )
  assert len(zipfile.ZipFile(path).namelist()) == 4


def test_a_state_dict_beside_other_things(path):
  """A checkpoint of flexible video diffusion."""
  weights = {"a": ARRAYS["a.weight"]}
  checkpoint = {
    "state_dict": torch_zip.state_dict(weights),
    "config": torch_zip.namespace(lr=1e-4, name="x", layers=[1, 2], big=2**70),
    "more": {"lr": 1e-4, "list": [1, 2.5, None, True, (1,)], "empty": {}},
    "step": 1000,
  }
  torch_zip.save(path, checkpoint)
  assert_same(convert.read(path), weights)


def test_no_state_dict_or_several(path):
  weights = torch_zip.state_dict({"a": ARRAYS["a.weight"]})
  torch_zip.save(path, {"model": weights, "ema": weights, "step": 3})
  assert "its entries, 'model', 'ema', 'step', 2 are mapp" in refused(path)
  torch_zip.save(path, {"step": 3})
  assert "its entries, 'step', none are mappings of names" in refused(path)
  torch_zip.save(path, [1, 2])
  assert "it holds a list and no mapping of names to tensors" in refused(path)


class Evil:
  def __init__(self, *reduced):
    self.reduced = reduced

  def __reduce__(self):
    return self.reduced


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("nested", [False, True])
def test_nothing_is_executed(path, tmp_path, protocol, nested):
  trace = tmp_path / "trace"
  evil = Evil(os.system, (f"touch {trace}",))
  torch_zip.save(path, {"state_dict": evil} if nested else evil, protocol=2)
  if protocol != 2 and not nested:
    torch_zip.save_pickle(path, pickle.dumps(evil, protocol))
  said = refused(path)
  assert "it asks to run posix.system, which is not among" in said
  assert said.endswith("; nothing was run.")
  assert not trace.exists()
  # It is a true weapon: Python's own reader would have run it.
  pickle.loads(pickle.dumps(evil, protocol))
  assert trace.exists()


@pytest.mark.parametrize(
  ("program", "said"),
  [
    (b"cbuiltins\neval\n(V1\ntR.", "asks to run builtins.eval, which"),
    (b"(ios\nsystem\n.", "asks to run os.system, which"),
    (b"ctorch\nFloatStorage\n)R.", "calls what cannot be called"),
    (b"ctorch\nFloatStorage\n}b.", "damaged at BUILD"),
    (b"ccollections\nOrderedDict\n}b.", "damaged at BUILD"),
    (b"\x82\x01.", "has the instruction EXT1"),
    (b"}}Ns.", "has a dict for a name"),
    (b"}))s.", "has a tuple for a name"),
    (b"}N.", "no object, or more than one"),
    (b"0.", "has the instruction POP"),
    (b"h\x05.", "damaged at BINGET"),
    (b"e.", "damaged at APPENDS"),
    (b"}a.", "damaged at APPEND"),
    (b"NQ.", "damaged at BINPERSID"),
    (b"ctorch._utils\n_rebuild_tensor_v2\n(NNNtR.", "damaged at REDUCE"),
    (b"}", "cannot be read as"),
    (b"X\xff\xff\xff\x7fabc.", "cannot be read as"),
    (b"\x8e" + (2**62).to_bytes(8, "little") + b"abc.", "cannot be read as"),
    (b"Nr\xff\xff\xff\xff.", "it holds a NoneType and no mapping"),
  ],
)
def test_pickles_that_are_no_state_dict(path, program, said):
  torch_zip.save_pickle(path, b"\x80\x02" + program)
  tracemalloc.start()
  try:
    assert said in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
  finally:
    tracemalloc.stop()


@pytest.mark.parametrize(
  ("tensor", "said"),
  [
    ((np.zeros(6, "f4"), 0, (2, 4), (4, 1)), "does not fit its storage of 6"),
    ((np.zeros(6, "f4"), 1, (2, 3), (3, 1)), "does not fit its storage of 6"),
    ((np.zeros(6, "f4"), 0, (2, 3), (4, 1)), "does not fit its storage of 6"),
    ((np.zeros(6, "f4"), 5, (2,), (-1,)), "does not fit its storage of 6"),
    ((np.zeros(6, "f4"), 0, (10**9,), (0,)), "does not fit its storage of 6"),
    ((np.zeros(6, "f4"), 0, (-1,), (1,)), "does not fit its storage of 6"),
    ((np.zeros(6, "f4"), 0, (2,), (1, 1)), "shape (2,) and strides (1, 1) d"),
    ((np.zeros(6, "f4"), 0, (2.0,), (1,)), "damaged at REDUCE"),
    (
      (np.zeros(6, "f4"), 0, (6,), (1,), 10**12),
      "'archive/data/0' has 24 bytes and should hold 1000000000000 numbers of",
    ),
  ],
)
def test_tensors_that_lie(path, tensor, said):
  torch_zip.save(path, {"a": torch_zip.Tensor(*tensor)})
  assert said in refused(path)


def test_one_storage_named_with_two_sizes(path):
  base = np.zeros(6, np.float32)
  views = [torch_zip.Tensor(base, 0, (3,), (1,), n) for n in (6, 3)]
  torch_zip.save(path, dict(zip("ab", views, strict=True)))
  assert "its storage '0' is named with two sizes" in refused(path)


def test_a_storage_that_is_missing(path):
  torch_zip.save(path, {"a": torch_zip.tensor(ARRAYS["a.weight"])})
  with zipfile.ZipFile(path) as archive:
    data = archive.read("archive/data.pkl")
  torch_zip.save_pickle(path, data)
  assert "it lacks the entry 'archive/data/0'" in refused(path)


def test_compressed_archives_are_refused(path):
  """A thousandfold: 20 kB would be 20 MB."""
  bomb = np.zeros(5_000_000, np.float32)
  torch_zip.save(
    path, {"a": torch_zip.tensor(bomb)}, compression=zipfile.ZIP_DEFLATED
  )
  assert path.stat().st_size < 40_000
  tracemalloc.start()
  try:
    assert "'archive/data.pkl' is compressed; save the arrays" in refused(path)
    with path.open("wb") as file:
      np.savez_compressed(file, a=bomb)
    assert "its entry 'a.npy' is compressed" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20 + bomb.nbytes
  finally:
    tracemalloc.stop()


def test_overlapping_entries_are_refused(path):
  """Two names in the directory for the same bytes."""
  content = bytes(1000)
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("a.npy", content)
    again = zipfile.ZipInfo("b.npy")
    first = archive.getinfo("a.npy")
    again.file_size = again.compress_size = 1000
    again.CRC, again.header_offset = first.CRC, first.header_offset
    archive.filelist.append(again)
    archive.NameToInfo["b.npy"] = again
  assert "entries claim more bytes than the file has" in refused(path)


def test_big_endian_files_are_refused(path):
  weights = torch_zip.state_dict({"a": ARRAYS["a.weight"]})
  order = [("archive/byteorder", b"big")]
  torch_zip.save(path, weights, extra=order)
  assert "not little-endian" in refused(path)
  torch_zip.save(path, weights, extra=[("archive/byteorder", b"little")])
  assert_same(convert.read(path), {"a": ARRAYS["a.weight"]})


# --- npz and files of no format ---


def test_npz_with_objects_or_lies(path):
  with path.open("wb") as file:
    np.savez(file, a=np.array([Evil(os.system, ("true",))], dtype=object))
  assert "'a.npy' holds Python objects, not numbers" in refused(path)
  header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10**15,), }"
  header = header.replace(b"10**15", b"1" + b"0" * 15)
  header += b" " * (117 - len(header)) + b"\n"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("a.npy", b"\x93NUMPY\x01\x00\x76\x00" + header + b"1234")
  assert "'a.npy' has 4 bytes for an array of shape (100000" in refused(path)


@pytest.mark.parametrize(
  "content", [b"", b"PK\x03\x04 and nothing", b"hello, I am a text", b"\x89PNG"]
)
def test_files_of_no_format(path, content):
  path.write_bytes(content)
  assert "as a safetensors, npz or torch file: " in refused(path)


def test_no_file(tmp_path):
  assert "No such file" in refused(tmp_path / "nothing")
  assert "Is a directory" in refused(pathlib.Path(tmp_path))


@pytest.mark.parametrize("kind", ["npz", "safetensors", "torch"])
def test_damaged_files_are_sentences(path, kind):
  """Every file cut short, and many with one byte changed."""
  arrays = {"a": np.arange(6, dtype=np.float32), "b": np.ones((2, 2), "f4")}
  if kind == "torch":
    torch_zip.save(path, torch_zip.state_dict(arrays))
  else:
    convert.write(path.with_suffix(f".{kind}"), arrays)
    path = path.with_suffix(f".{kind}")
  whole = path.read_bytes()
  for end in range(0, len(whole), 7):
    path.write_bytes(whole[:end])
    refused(path)
  for place in range(0, len(whole), 3):
    path.write_bytes(
      whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :]
    )
    try:
      found = convert.read(path)
    except errors.UserError:
      continue
    assert all(array.size <= 6 for array in found.values())

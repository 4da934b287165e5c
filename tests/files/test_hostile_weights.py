"""Files of weights that attack: refused soon, in one sentence, nothing run."""

import collections
import io
import os
import pathlib
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from pseudovideo import convert, errors
from pseudovideo.commands import convert as convert_command
from pseudovideo.pretrained import weights
from tests.files import (
  child,
  hostile_arrays,
  hostile_pickles,
  hostile_safetensors,
  torch_zip,
)

SIX = np.arange(6, dtype=np.float32)

# What is wrong with a file of weights -> its bytes, or what writes it, and a
# part of the sentence.
Weights = dict[str, tuple[bytes | Callable, str]]


def safetensors(trace) -> Weights:
  """Headers that are none, and some that lie."""

  def long_header(path):
    with path.open("wb") as file:
      file.write((2**30).to_bytes(8, "little") + b"{")
      file.truncate(2**30 + 8)

  said = "at most 4194304 are read"
  return hostile_safetensors.all_kinds() | {"1 GB of it": (long_header, said)}


# Pickles in a file of torch 1.6 and later, and what is said of them.
NO_STATE_DICTS = [
  (b"ctorch\nFloatTensor\n)R.", "asks to run torch.FloatTensor"),
  (b"}}Ns.", "has a dict for a name"),
  (b"}))s.", "has a tuple for a name"),
  (b"0.", "its pickle is damaged"),
  (b"h\x05.", "its pickle is damaged"),
  (b"e.", "its pickle is damaged"),
  (b"}a.", "its pickle is damaged"),
  (b"}", "its pickle is damaged"),
  (b"N.", "holds a NoneType and no mapping"),
  (hostile_pickles.TENSOR + b".", "holds a Tensor and no mapping"),
]

# Offset, shape and strides of a view of six numbers, and perhaps how many the
# pickle claims that there are.
NO_VIEWS = [
  ((0, (2, 4), (4, 1)), "does not fit its storage of 6"),
  ((1, (2, 3), (3, 1)), "does not fit its storage of 6"),
  ((0, (2, 3), (4, 1)), "does not fit its storage of 6"),
  ((5, (2,), (-1,)), "does not fit its storage of 6"),
  ((0, (10**9,), (0,)), "does not fit its storage of 6"),
  ((0, (-1,), (1,)), "does not fit its storage of 6"),
  ((0, (2,), (1, 1)), "shape (2,) and strides (1, 1)"),
  ((0, (0, 2**62, 2**62), (1, 1, 1)), "array is too big"),
  ((0, (2.0,), (1,)), "its pickle is damaged"),
  ((0, (6,), (1,), 10**12), "should hold 1000000000000 numbers"),
]


def two_sizes():
  """A storage that its two views do not agree on."""
  views = [torch_zip.Tensor(SIX, 0, (3,), (1,), n) for n in (6, 3)]
  return dict(zip("ab", views, strict=True))


def torch(trace) -> Weights:
  """Archives around pickles."""
  programs = hostile_pickles.heavy() | hostile_pickles.code(f"touch {trace}")
  found: Weights = {
    what: (hostile_pickles.torch_zip(program), "")
    for what, program in programs.items()
  }
  for program, said in NO_STATE_DICTS:
    found[f"the program {program}"] = hostile_pickles.torch_zip(program), said
  for fields, said in NO_VIEWS:
    tensor = torch_zip.Tensor(np.zeros(6, np.float32), *fields)
    found[f"the view {fields}"] = (
      lambda path, t=tensor: torch_zip.save(path, {"a": t}),
      said,
    )

  def saved(obj, **options):
    return lambda path: torch_zip.save(path, obj, **options)

  def without_storage(path):
    torch_zip.save_pickle(path, hostile_pickles.TENSOR + b".")

  def long_pickle(path):
    torch_zip.save_pickle(path, b"N" * (4 * 2**20 + 1))

  evil = hostile_pickles.Evil(f"touch {trace}")
  said = "asks to run posix.system, which is not among"
  for protocol in (2, 4):
    found[f"evil, protocol {protocol}"] = (
      lambda path, p=protocol: torch_zip.save_pickle(
        path, pickle.dumps(evil, p)
      ),
      said,
    )
  six = {"a": torch_zip.tensor(SIX)}
  many = {"model": six, "ema": six, "step": 3}
  big = [("archive/byteorder", b"big")]
  return found | {
    "evil beside tensors": (saved(six | {"state_dict": evil}), said),
    "two sizes": (saved(two_sizes()), "'0' is named with two sizes"),
    "no storage": (without_storage, "lacks the entry 'archive/data/0'"),
    "a long pickle": (long_pickle, "its pickle has more than 4194304 bytes"),
    "big-endian": (saved(six, extra=big), "not little-endian"),
    "two state dicts": (saved(many), "'model', 'ema', 'step', 2 are mapp"),
    "no state dict": (saved({"step": 3}), "'step', none are mappings"),
    "a list": (saved([1, 2]), "holds a list and no mapping"),
  }


NO_LEGACY_STATE_DICTS = [
  (b"cbuiltins\neval\n(V1\ntR.", "asks to run builtins.eval"),
  (b"(U\x06modulectorch\nFloatStorage\nU\x010NK\x01NtQ.", "damaged"),
  (b"(U\x07storageNU\x010NK\x01NtQ.", "its pickle is damaged"),
  (b"}.", "lists 1 storages, which are not the 0"),
  (hostile_pickles.legacy_program(length=7, size=7), "should end at byte"),
  (
    hostile_pickles.legacy_program(length=5, size=5),
    "'0' has 6 numbers and should have 5",
  ),
  (
    hostile_pickles.legacy_program(size=7),
    "shape (7,) and strides (1,) does not fit",
  ),
  (
    hostile_pickles.legacy_program(part=b"U\x01vK\x02K\x05\x87"),
    "5 numbers from 2 on",
  ),
  (
    hostile_pickles.legacy_program(part=b"U\x01vK\x02K\x03\x87"),
    "storage of 3 numbers",
  ),
  (
    hostile_pickles.legacy_program(part=b"U\x01vJ\xff\xff\xff\xffK\x03\x87"),
    "from -1 on",
  ),
  (
    hostile_pickles.legacy_program(part=b"U\x01vNK\x03\x87"),
    "its pickle is damaged",
  ),
]

# Of a file of two storages, of 2 and 6 numbers; see `save_legacy_pickle`.
LEGACY_FIELDS = [
  ({"magic": 7}, "does not begin as torch's files do"),
  ({"version": 1002}, "its version is 1002 and not 1001"),
  ({"machine": {"little_endian": False}}, "not little-endian"),
  ({"machine": 3}, "not little-endian"),
  ({"keys": ["0", "0"]}, "lists 2 storages, which are not the 2"),
  ({"keys": ["1", "0", "0"]}, "lists 3 storages, which are not the 2"),
  ({"keys": ["0", "2"]}, "lists 2 storages, which are not the 2"),
  ({"keys": [0, 1]}, "lacks the list of its storages"),
  ({"keys": 3}, "lacks the list of its storages"),
  ({"keys": ["0", "1"]}, "'0' has 2 numbers and should have 6"),
  ({"counts": [-2, 6]}, f"'1' has {2**64 - 2} numbers and should have 2"),
  ({"counts": [2, 2**62]}, f"'0' has {2**62} numbers and should have 6"),
  ({"end": b"x"}, "1 bytes follow its last storage"),
]


def legacy_torch(trace) -> Weights:
  """Pickles one after the other, as torch before 1.6 wrote them."""
  found: Weights = {
    what: (hostile_pickles.legacy(hostile_pickles.with_part(program)), "")
    for what, program in hostile_pickles.code(f"touch {trace}").items()
  }
  found["a version of 2^60 tuples"] = (
    hostile_pickles.legacy(b"}.", hostile_pickles.TWICE + b"."),
    "its version is tuple and not 1001",
  )
  found["a pickle of Python"] = (
    pickle.dumps(collections.OrderedDict(a=1), 2),
    "does not begin as torch's files do",
  )
  evil = hostile_pickles.Evil(f"touch {trace}")
  said = "asks to run posix.system, which is not among"
  found["evil alone"] = pickle.dumps(evil, 2), said
  weights = torch_zip.state_dict({"a": SIX, "b": SIX[:2]})

  def saved(obj, **fields):
    return lambda path: torch_zip.save_legacy(path, obj, **fields)

  found["evil as machine"] = saved({}, machine=evil), said
  found["evil beside tensors"] = saved(weights | {"c": evil}), said
  for fields, said in LEGACY_FIELDS:
    found[f"with {fields}"] = saved(weights, **fields), said
  for program, said in NO_LEGACY_STATE_DICTS:
    found[f"the program {program}"] = (
      lambda path, p=program: torch_zip.save_legacy_pickle(
        path, b"\x80\x02" + p, [SIX]
      ),
      said,
    )
  for length, said in [
    (-1, "named with the length -1"),
    (10**30, "should end at byte"),
  ]:
    tensor = torch_zip.Tensor(SIX, 0, (6,), (1,), length)
    found[f"{length} numbers"] = saved({"a": tensor}), said
  found["two sizes"] = saved(two_sizes()), "'0' is named with two sizes"
  return found


def npz(trace) -> Weights:
  """Archives of arrays, and files of no format."""
  # numpy reads them, and a network takes none of them.
  strange = ("text", "fields", "empty")
  found: Weights = {
    what: (content, "")
    for what, content in hostile_arrays.hostile_npz(trace).items()
    if what not in strange
  }

  def overlapping(path):
    """Two names in the directory for one entry."""
    with zipfile.ZipFile(path, "w") as archive:
      archive.writestr("a.npy", bytes(1000))
      again, first = zipfile.ZipInfo("b.npy"), archive.getinfo("a.npy")
      again.file_size = again.compress_size = 1000
      again.CRC, again.header_offset = first.CRC, first.header_offset
      archive.filelist.append(again)
      archive.NameToInfo["b.npy"] = again

  deflated = io.BytesIO()
  np.savez_compressed(deflated, a=np.zeros(5_000_000, np.float32))
  header = hostile_arrays.shaped(f"({10**15},)", "'<f4'")
  return found | {
    "Python objects": (
      hostile_arrays.in_zip(a=hostile_arrays.objects(f"touch {trace}")),
      "'a.npy' holds Python objects",
    ),
    "a lie": (
      hostile_arrays.in_zip(a=hostile_arrays.npy(header, b"1234")),
      "'a.npy' has 4 bytes for an array",
    ),
    "compressed": (deflated.getvalue(), "'a.npy' is compressed"),
    "overlapping": (overlapping, "more bytes than the file has"),
    "no bytes": (b"", ""),
    "a broken archive": (b"PK\x03\x04 and nothing", ""),
    "a text": (b"hello, I am a text", ""),
    "a pipe": (os.mkfifo, ""),
    "a loop": (lambda path: path.symlink_to(path), ""),
    "a device": (lambda path: path.symlink_to("/dev/zero"), ""),
    "a folder": (pathlib.Path.mkdir, "Is a directory"),
    "nothing": (lambda path: None, "No such file"),
  }


def cases(make: Callable[[pathlib.Path], Weights]) -> child.Make:
  def made(folder: pathlib.Path, trace: pathlib.Path) -> list[child.Case]:
    found = []
    for number, (what, (content, says)) in enumerate(make(trace).items()):
      path = folder / str(number)
      if callable(content):
        content(path)
      else:
        path.write_bytes(content)
      found.append(child.Case(what, child.READ, path, says=says))
    return found

  return made


KINDS = {
  "safetensors": cases(safetensors),
  "torch": cases(torch),
  "torch before 1.6": cases(legacy_torch),
  "npz": cases(npz),
}


@pytest.fixture(scope="module")
def trace(tmp_path_factory) -> pathlib.Path:
  """Place of the file that every program in a file tries to make."""
  return tmp_path_factory.mktemp("trace") / "executed"


@pytest.fixture(scope="module")
def outcomes(trace, tmp_path_factory):
  return child.read_all(KINDS, tmp_path_factory, trace)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_refused(outcomes, trace, kind):
  for case, outcome in outcomes[kind]:
    child.check(case, outcome)
  assert not trace.exists()


def test_the_programs_are_true_weapons(tmp_path):
  """Python's own reader runs those that name what every Python has."""
  names = ["GLOBAL and REDUCE", "STACK_GLOBAL", "INST", "OBJ", "getattr"]
  traces = [tmp_path / name for name in (*names, "object")]
  programs = [
    b"\x80\x02" + hostile_pickles.code(f"touch '{trace}'")[trace.name]
    for trace in traces[:-1]
  ]
  programs.append(pickle.dumps(hostile_pickles.Evil(f"touch {traces[-1]}")))
  code = "import pickle, sys\nfor _ in range(6): pickle.load(sys.stdin.buffer)"
  subprocess.run(
    [sys.executable, "-c", code], input=b"".join(programs), check=True
  )
  assert all(trace.exists() for trace in traces)


def test_what_surrounds_the_programs_is_sound(tmp_path):
  """Nothing but the program is wrong with a file."""
  program = b"}" + hostile_pickles.named("a") + hostile_pickles.TENSOR + b"s."
  six = {"a": hostile_safetensors.entry("F32", [6], 0, 24)}
  header = hostile_arrays.shaped("(6,)", "'<f4'")
  for content in (
    hostile_pickles.torch_zip(program),
    hostile_pickles.legacy(hostile_pickles.with_part(program)),
    hostile_safetensors.file(six, bytes(24)),
    hostile_arrays.in_zip(a=hostile_arrays.npy(header, bytes(24))),
  ):
    (tmp_path / "good").write_bytes(content)
    found = convert.read(tmp_path / "good")
    assert list(found) == ["a"]
    np.testing.assert_array_equal(found["a"], np.zeros(6, np.float32))


def test_the_command_says_one_sentence(tmp_path, capsys):
  path = tmp_path / "weights"
  program = hostile_pickles.code("true")["GLOBAL and REDUCE"]
  path.write_bytes(hostile_pickles.torch_zip(program))
  argv = [
    f"--weights={path}",
    f"--workdir={tmp_path / 'run'}",
    "--config=configs/video_diffusion.py:preset=tiny,frames=1",
  ]
  assert convert_command.main(argv) == 2
  said = capsys.readouterr().err
  assert said.startswith(f"Error: {path} cannot be read as ")
  assert said.count("\n") == 1
  assert not (tmp_path / "run").exists()


def test_published_weights_that_have_no_end(tmp_path):
  os.mkfifo(tmp_path / "pipe")
  for path in (tmp_path / "pipe", pathlib.Path("/dev/zero")):
    with pytest.raises(errors.UserError, match="is a pipe or a device"):
      weights.read(weights.VGG16, path)

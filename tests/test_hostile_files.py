"""Files that attack: refused soon, in one sentence, with nothing executed.

All are read in one process of limited memory and time, see `tests/hostile.py`.
"""

import collections
import dataclasses
import io
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pseudovideo import convert, errors, sample_files
from pseudovideo.convert import __main__ as convert_command
from pseudovideo.metrics import __main__ as metrics_command
from pseudovideo.metrics import sources, weights
from tests import hostile
from tests.convert import torch_zip
from tests.data import small_videos, test_tfds_sets

READ = "pseudovideo.convert:read"
SAMPLES = "pseudovideo.sample_files:load"
CONSUME = "tests.hostile:consume"
IMAGE = "tests.hostile:open_image"
SET = "tests.hostile:load_set"
SIX = np.arange(6, dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class Case:
  """A file and who reads it.

  Attributes:
    what: is wrong with it.
    reader: of `hostile.outcomes`.
    path: which the sentence names.
    argument: of the reader, where that is not the path.
    says: what the sentence has besides; None: the file is read.
  """

  what: str
  reader: str
  path: pathlib.Path
  argument: str | None = None
  says: str | None = ""


# What is wrong with a file of weights -> its bytes, or what writes it, and a
# part of the sentence.
Weights = dict[str, tuple[bytes | Callable, str]]


def entry(dtype, shape, *places):
  return {"dtype": dtype, "shape": shape, "data_offsets": list(places)}


def safetensors(trace) -> Weights:
  """Headers that are none, and some that lie."""
  found = {
    what: (hostile.safetensors(header), "")
    for what, header in hostile.hostile_safetensors().items()
  }
  pair = {"a": entry("F32", [2], 0, 8)}
  words = {"a": entry("U8", [4], 0, 4)}
  for header, data, said in [
    (pair, b"1234", "arrays have 8 bytes and the file"),
    (pair, bytes(12), "8 bytes and the file has 12"),
    ({"a": entry("F32", [10**15], 0, 8)}, bytes(8), "needs 4000000000000000 b"),
    ({"a": entry("F32", [2], 8, 0)}, bytes(8), "'a' of shape (2,) needs 8 byt"),
    ({"a": entry("F32", [-2, -1], 0, 8)}, bytes(8), "the shape [-2, -1] at"),
    ({"a": entry("F32", [True], 0, 4)}, bytes(4), "the shape [True] at"),
    ({"a": entry("F32", "2", 0, 8)}, bytes(8), "the shape '2' at"),
    ({"a": entry("F8_E4M3", [2], 0, 2)}, bytes(2), "of type 'F8_E4M3', not"),
    ({"a": {"dtype": "F32"}}, b"", "'a' lacks its dtype, shape or data_off"),
    (pair | {"b": entry("F32", [2], 4, 12)}, bytes(12), "'b' begins at byte 4"),
    (words | {"b": entry("U8", [4], 8, 12)}, bytes(12), "'b' begins at byte 8"),
  ]:
    content = hostile.safetensors(json.dumps(header).encode(), data)
    found[said] = content, said

  def long_header(path):
    with path.open("wb") as file:
      file.write((2**30).to_bytes(8, "little") + b"{")
      file.truncate(2**30 + 8)

  return found | {
    "open": (hostile.safetensors(b'{"a": ', b""), "Expecting value"),
    "a name twice, and no more": (
      hostile.safetensors(b'{"a": 1, "a": 2}', b""),
      "a name occurs twice",
    ),
    "beyond its end": ((2**60).to_bytes(8, "little") + b"{}", f"{2**60} bytes"),
    "a header of 1 GB": (long_header, "at most 4194304 are read"),
  }


# Pickles in a file of torch 1.6 and later, and what is said of them.
NO_STATE_DICTS = [
  (b"cbuiltins\neval\n(V1\ntR.", "asks to run builtins.eval"),
  (b"(ios\nsystem\n.", "asks to run os.system"),
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
  (b"}", ""),
  (b"X\xff\xff\xff\x7fabc.", ""),
  (b"\x8e" + (2**62).to_bytes(8, "little") + b"abc.", ""),
  (b"Nr\xff\xff\xff\xff.", "holds a NoneType and no mapping"),
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
  ((0, (2.0,), (1,)), "damaged at REDUCE"),
  ((0, (6,), (1,), 10**12), "should hold 1000000000000 numbers"),
]


def two_sizes():
  """A storage that its two views do not agree on."""
  views = [torch_zip.Tensor(SIX, 0, (3,), (1,), n) for n in (6, 3)]
  return dict(zip("ab", views, strict=True))


def torch(trace) -> Weights:
  """Archives around pickles."""
  programs = hostile.hostile_pickles()
  programs |= hostile.code_pickles(f"touch {trace}")
  found: Weights = {
    what: (hostile.torch_zip(program), "") for what, program in programs.items()
  }
  evil = hostile.Evil(f"touch {trace}")
  for protocol in (0, 2, 4):
    found[f"evil, protocol {protocol}"] = (
      lambda path, p=protocol: torch_zip.save_pickle(
        path, pickle.dumps(evil, p)
      ),
      "asks to run posix.system, which is not among",
    )
  six = {"a": torch_zip.tensor(SIX)}
  found["evil beside tensors"] = (
    lambda path: torch_zip.save(path, six | {"state_dict": evil}),
    "nothing was run",
  )
  for program, said in NO_STATE_DICTS:
    found[f"the program {program}"] = hostile.torch_zip(program), said
  for fields, said in NO_VIEWS:
    tensor = torch_zip.Tensor(np.zeros(6, np.float32), *fields)
    found[f"the view {fields}"] = (
      lambda path, t=tensor: torch_zip.save(path, {"a": t}),
      said,
    )

  def without_storage(path):
    torch_zip.save(path, six)
    with zipfile.ZipFile(path) as archive:
      program = archive.read("archive/data.pkl")
    torch_zip.save_pickle(path, program)

  def saved(obj, **options):
    return lambda path: torch_zip.save(path, obj, **options)

  many = {"model": six, "ema": six, "step": 3}
  big = [("archive/byteorder", b"big")]
  return found | {
    "two sizes": (saved(two_sizes()), "'0' is named with two sizes"),
    "no storage": (without_storage, "lacks the entry 'archive/data/0'"),
    "big-endian": (saved(six, extra=big), "not little-endian"),
    "two state dicts": (saved(many), "'model', 'ema', 'step', 2 are mapp"),
    "no state dict": (saved({"step": 3}), "'step', none are mappings"),
    "a list": (saved([1, 2]), "holds a list and no mapping"),
  }


def legacy_program(*, length=6, part=b"N", size=6, wrap=b""):
  """{"a": tensor}, as Python 2 and torch before 0.4 wrote it."""
  tensor = (
    b"ctorch._utils\n_rebuild_tensor\n((U\x07storagectorch\nFloatStorage\n"
    b"U\x010U\x03cpuK%c%btQK\x00K%c\x85K\x01\x85tR" % (length, part, size)
  )
  if wrap:
    tensor = b"ctorch.nn.parameter\nParameter\n" + tensor + b"\x85R" + wrap
  pairs = b"]](U\x01a" + tensor + b"ea"
  return b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R}b."


NO_LEGACY_STATE_DICTS = [
  (b"cbuiltins\neval\n(V1\ntR.", "asks to run builtins.eval"),
  (b"ctorch\nFloatTensor\n)R.", "asks to run torch.FloatTensor"),
  (b"U\x01aQ.", "damaged at BINPERSID"),
  (b"(U\x07storagectorch\nFloatStorage\nU\x010NK\x01tQ.", "at BINPERSID"),
  (b"(U\x06modulectorch\nFloatStorage\nU\x010NK\x01NtQ.", "at BINPERSID"),
  (b"(U\x07storageNU\x010NK\x01NtQ.", "damaged at BINPERSID"),
  (b"}.", "lists 1 storages, which are not the 0"),
  (legacy_program(length=7, size=7)[2:], "should end at byte"),
  (legacy_program(length=5, size=5)[2:], "'0' has 6 numbers and should have 5"),
  (legacy_program(size=7)[2:], "shape (7,) and strides (1,) does not fit"),
  (legacy_program(part=b"U\x01vK\x02K\x05\x87")[2:], "5 numbers from 2 on"),
  (legacy_program(part=b"U\x01vK\x02K\x03\x87")[2:], "storage of 3 numbers"),
  (legacy_program(part=b"U\x01vJ\xff\xff\xff\xffK\x03\x87")[2:], "from -1 on"),
  (legacy_program(part=b"U\x01vNK\x03\x87")[2:], "damaged at BINPERSID"),
]

# Of a file of two storages, of 2 and 6 numbers; see `save_legacy_pickle`.
LEGACY_FIELDS = [
  ({"magic": 7}, "does not begin as those of torch"),
  ({"magic": {}}, "does not begin as those of torch"),
  ({"version": 1002}, "its version is 1002 and not 1001"),
  ({"machine": {"little_endian": False}}, "not little-endian"),
  ({"machine": {}}, "not little-endian"),
  ({"machine": 3}, "not little-endian"),
  ({"keys": ["0", "0"]}, "lists 2 storages, which are not the 2"),
  ({"keys": ["1", "0", "0"]}, "lists 3 storages, which are not the 2"),
  ({"keys": ["0"]}, "lists 1 storages, which are not the 2"),
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
    what: (hostile.legacy(hostile.with_part(program)), "")
    for what, program in hostile.code_pickles(f"touch {trace}").items()
  }
  found["a version of 2^60 tuples"] = (
    hostile.legacy(b"}.", hostile.TWICE + b"."),
    "",
  )
  found["a pickle of Python"] = (
    pickle.dumps(collections.OrderedDict(a=1), 2),
    "does not begin as those of torch",
  )
  evil = hostile.Evil(f"touch {trace}")
  said = "asks to run posix.system, which is not among"
  found["evil alone"] = pickle.dumps(evil, 2), said
  weights = torch_zip.state_dict({"a": SIX, "b": SIX[:2]})

  def saved(obj, **fields):
    return lambda path: torch_zip.save_legacy(path, obj, **fields)

  for place in ("magic", "machine"):
    found[f"evil as {place}"] = saved({}, **{place: evil}), said
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
    (10**12, "should end at byte"),
    (10**30, "should end at byte"),
  ]:
    tensor = torch_zip.Tensor(SIX, 0, (6,), (1,), length)
    found[f"{length} numbers"] = saved({"a": tensor}), said
  found["two sizes"] = saved(two_sizes()), "'0' is named with two sizes"
  return found


def npz_weights(trace) -> Weights:
  """Archives of arrays, and files of no format."""
  # numpy reads them, and a network takes none of them.
  strange = ("text", "fields", "empty")
  found: Weights = {
    what: (content, "")
    for what, content in hostile.hostile_npz(trace).items()
    if what not in strange
  }

  def overlapping(path):
    """Two names in the directory for the same bytes."""
    with zipfile.ZipFile(path, "w") as archive:
      archive.writestr("a.npy", bytes(1000))
      again, first = zipfile.ZipInfo("b.npy"), archive.getinfo("a.npy")
      again.file_size = again.compress_size = 1000
      again.CRC, again.header_offset = first.CRC, first.header_offset
      archive.filelist.append(again)
      archive.NameToInfo["b.npy"] = again

  deflated = io.BytesIO()
  np.savez_compressed(deflated, a=np.zeros(5_000_000, np.float32))
  long = hostile.npy(hostile.shaped(f"({10**15},)", "'<f4'"), b"1234")
  return found | {
    "Python objects": (
      hostile.in_zip(a=hostile.objects(f"touch {trace}")),
      "'a.npy' holds Python objects",
    ),
    "a lie": (hostile.in_zip(a=long), "'a.npy' has 4 bytes for an array"),
    "compressed": (deflated.getvalue(), "'a.npy' is compressed"),
    "overlapping": (overlapping, "more bytes than the file has"),
    "no bytes": (b"", ""),
    "a broken archive": (b"PK\x03\x04 and nothing", ""),
    "a text": (b"hello, I am a text", ""),
    "an image": (b"\x89PNG", ""),
    "a pipe": (os.mkfifo, ""),
    "a loop": (lambda path: path.symlink_to(path), ""),
    "a device": (lambda path: path.symlink_to("/dev/zero"), ""),
    "a folder": (pathlib.Path.mkdir, "Is a directory"),
    "nothing": (lambda path: None, "No such file"),
  }


def weights_cases(make) -> Callable:
  def cases(folder: pathlib.Path, trace: pathlib.Path) -> list[Case]:
    found = []
    for number, (what, (content, says)) in enumerate(make(trace).items()):
      path = folder / str(number)
      if callable(content):
        content(path)
      else:
        path.write_bytes(content)
      found.append(Case(what, READ, path, says=says))
    return found

  return cases


def npz_images(folder, trace) -> list[Case]:
  """Archives of images, for what scores and what shows them."""
  paths = hostile.write(folder, hostile.hostile_npz(trace), ".npz")
  paths |= {"pipe": folder / "pipe.npz", "loop": folder / "loop.npz"}
  os.mkfifo(paths["pipe"])
  paths["loop"].symlink_to(paths["loop"])
  found = [
    Case(what, reader, path)
    for what, path in paths.items()
    for reader in (CONSUME, SAMPLES)
  ]
  # A thousandfold of zeros: refused by their number, or read part by part.
  num, size = sources.MAX_NUM + 1, 2**29
  shape = hostile.shaped(f"({size // 2**12}, 64, 64, 1)")
  many, large = folder / "many.npz", folder / "large.npz"
  many.write_bytes(hostile.bomb(hostile.shaped(f"({num}, 1, 1, 1)"), num))
  large.write_bytes(hostile.bomb(shape, size))
  assert large.stat().st_size < size / 900
  said = f"at most {sources.MAX_NUM:,} are scored"
  # Arrays that nobody asks for are looked at too.
  alone, beside = folder / "alone.npz", folder / "beside.npz"
  alone.write_bytes(hostile.in_zip(images=hostile.npy()))
  program = hostile.objects(f"touch {trace}")
  beside.write_bytes(hostile.in_zip(images=hostile.npy(), extra=program))
  return [
    *found,
    Case("alone", SAMPLES, alone, says=None),
    Case("beside", SAMPLES, beside, says="cannot be read as an npz"),
    Case("many zeros", CONSUME, many, says=said),
    Case("large zeros", CONSUME, large, says=None),
  ]


def npy_images(folder, trace) -> list[Case]:
  """Arrays without an archive around them."""
  contents = {
    "10^15": hostile.npy(hostile.shaped("(1000000000000000, 2, 2, 1)")),
    "4 GB of header": hostile.npy(version=2, length=2**32 - 1),
    "objects": hostile.objects(f"touch {trace}"),
    "an archive": hostile.in_zip(images=hostile.npy()),
    "code": hostile.npy(b"__import__('os').system('true')"),
    "empty": b"",
  }
  paths = hostile.write(folder, contents, ".npy")
  with paths["4 GB of header"].open("r+b") as file:
    file.truncate(2**32 + 100)
  return [Case(what, CONSUME, path) for what, path in paths.items()]


def images(folder, trace) -> list[Case]:
  """Alone, within a folder that is a data set, and as a video's frame."""
  found = []
  makers = {
    what: lambda path, content=content: path.write_bytes(content)
    for what, content in hostile.hostile_images(trace).items()
  }
  # What makes a reader wait for ever, or fail before it decodes.
  strange = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
    "dangling": lambda path: path.symlink_to("nowhere"),
  }
  for number, (what, make) in enumerate((makers | strange).items()):
    root = folder / str(number)
    path = root / "deep" / "b.png"
    path.parent.mkdir(parents=True)
    make(path)
    Image.new("RGB", (32, 32)).save(root / "a.png")
    if what in makers:
      found.append(Case(what, IMAGE, path))
    found += [
      Case(what, SET, path, f"folder:{root}?size=4"),
      Case(what, SET, path, f"videos:{root}?size=4&frames=1"),
      Case(what, CONSUME, path, f"{root}?size=4"),
    ]
  return found


def patched(content: bytes, box: bytes, offset: int, new: bytes) -> bytes:
  """A video file with the bytes after the only box of a name changed."""
  assert content.count(box) == 1
  place = content.index(box) + 4 + offset
  return content[:place] + new + content[place + len(new) :]


def videos(folder, trace) -> list[Case]:
  """Films that lie of their sizes and lengths, or in which the lie is idle."""
  small_videos.write_mp4(folder / "good.mp4", small_videos.plain(8))
  good = (folder / "good.mp4").read_bytes()
  most = b"\xff\xff\xff\xff"
  changes = {
    "wide": patched(good, b"avc1" + bytes(6), 20, most),
    "many sizes": patched(good, b"stsz", 8, most),
    "equal sizes": patched(good, b"stsz", 4, b"\0\0\0\1\x0f\xff\xff\xff"),
    "many chunks": patched(good, b"stco", 4, most),
    "no chunks": patched(good, b"stco", 4, bytes(4)),
    "no frames": patched(good, b"stsz", 8, bytes(4)),
    "long box": patched(good, b"moov", -8, b"\x7f\xff\xff\xff"),
  }
  found = []
  for number, (what, content) in enumerate(changes.items()):
    path = folder / str(number) / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(content)
    (path.parent / "b.mp4").write_bytes(good)
    # The frames say how wide they are.
    idle = what in ("wide", "many chunks", "long box")
    text = f"videos:{path.parent}?size=4&frames=1"
    found.append(Case(what, SET, path, text, None if idle else ""))
  return found


def descriptions(folder, trace) -> list[Case]:
  """TFDS sets whose descriptions are no JSON, or of other types."""
  examples = test_tfds_sets.make_examples("mnist")
  good = test_tfds_sets.write("mnist", folder / "good", examples)
  info, features = "dataset_info.json", "features.json"
  contents = [
    (info, "[" * 200_000, f"{info} is no JSON"),
    (info, "[]", f"{info} holds no mapping"),
    (info, "{}", f"{info} describes something else"),
    (info, "{", f"{info} is no JSON"),
    (info, '{"name": 1e999}', f"{info} describes something else"),
    (info, "9" * 5000, f"{info} is no JSON"),
    (features, "[" * 200_000 + "]" * 200_000, f"{features} is no JSON"),
    (features, "[]", f"{features} holds no mapping"),
    (features, "{}", ""),
    (features, '{"type": 3}', f"{features} names '3'"),
  ]
  changes = [
    {"name": "../../mnist"},
    {"name": ["mnist"]},
    {"version": None},
    {"splits": {"train": 3}},
    {"splits": [3]},
    {"splits": [{"name": "train", "shardLengths": 3}]},
    {"splits": [{"shardLengths": [1]}]},
    {"description": 7},
  ]
  whole = json.loads((good / info).read_text())
  contents += [
    (info, json.dumps(whole | change), f"{info} describes something else")
    for change in changes
  ]
  found = []
  for number, (name, content, said) in enumerate(contents):
    root = folder / str(number)
    copy = shutil.copytree(good, root / "mnist" / good.name)
    (copy / name).write_text(content)
    what = f"{name}, {content[-60:]}"
    found.append(Case(what, SET, copy, f"mnist@{root}", f"is damaged ({said}"))
  return found


KINDS = {
  "safetensors": weights_cases(safetensors),
  "torch": weights_cases(torch),
  "torch before 1.6": weights_cases(legacy_torch),
  "npz of weights": weights_cases(npz_weights),
  "npz of images": npz_images,
  "npy of images": npy_images,
  "images": images,
  "videos": videos,
  "TFDS": descriptions,
}


@pytest.fixture(scope="module")
def trace(tmp_path_factory) -> pathlib.Path:
  """Place of the file that every program in a file tries to make."""
  return tmp_path_factory.mktemp("trace") / "executed"


@pytest.fixture(scope="module")
def outcomes(trace, tmp_path_factory):
  """Kind -> its cases, and what their readers did, all in one process."""
  cases = {
    kind: make(tmp_path_factory.mktemp("files"), trace)
    for kind, make in KINDS.items()
  }
  found = iter(
    hostile.outcomes(
      (case.reader, case.argument or case.path)
      for each in cases.values()
      for case in each
    )
  )
  return {
    kind: [(case, next(found)) for case in each] for kind, each in cases.items()
  }


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_refused(outcomes, trace, kind):
  for case, outcome in outcomes[kind]:
    what = f"{case.what}, {case.reader}"
    if case.says is None:
      assert outcome.kind is None, f"{what}: {outcome}"
      continue
    hostile.assert_refused(outcome, case.path, what)
    assert case.says in outcome.said, f"{what}: {outcome}"
    if case.reader == READ:
      assert "as a safetensors, npz or torch file: " in outcome.said
  assert not trace.exists()


def test_the_programs_are_true_weapons(tmp_path):
  """Python's own reader runs those that name what every Python has."""
  traces = [tmp_path / str(number) for number in range(5)]
  names = ["GLOBAL and REDUCE", "STACK_GLOBAL", "INST", "OBJ", "getattr"]
  programs = [
    b"\x80\x02" + hostile.code_pickles(f"touch {trace}")[name]
    for name, trace in zip(names, traces, strict=True)
  ]
  traces.append(tmp_path / "object")
  programs.append(pickle.dumps(hostile.Evil(f"touch {traces[-1]}")))
  code = "import pickle, sys\nfor _ in range(6): pickle.load(sys.stdin.buffer)"
  subprocess.run(
    [sys.executable, "-c", code], input=b"".join(programs), check=True
  )
  assert all(trace.exists() for trace in traces)


def test_what_surrounds_the_programs_is_sound(tmp_path):
  """Else all of them would be refused for that."""
  program = hostile.state_dict_program()
  for content in (
    hostile.torch_zip(program),
    hostile.legacy(hostile.with_part(program)),
    hostile.safetensors(
      b'{"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}',
      bytes(24),
    ),
    hostile.in_zip(a=hostile.npy(hostile.shaped("(6,)", "'<f4'"), bytes(24))),
  ):
    (tmp_path / "good").write_bytes(content)
    found = convert.read(tmp_path / "good")
    assert list(found) == ["a"]
    np.testing.assert_array_equal(found["a"], np.zeros(6, np.float32))


def test_what_surrounds_the_descriptions_is_sound(tmp_path, monkeypatch):
  """A sound set, read here: in the child of `hostile` its reader hangs."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  examples = test_tfds_sets.make_examples("mnist")
  test_tfds_sets.write("mnist", tmp_path / "good", examples)
  hostile.load_set(f"mnist@{tmp_path / 'good'}")


def test_the_commands_say_one_sentence(tmp_path, capsys):
  path = tmp_path / "weights"
  program = hostile.code_pickles("true")["GLOBAL and REDUCE"]
  path.write_bytes(hostile.torch_zip(program))
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
  images = tmp_path / "images.npz"
  images.write_bytes(hostile.in_zip(images=hostile.npy(b"(" * 5000)))
  argv = ["--metrics=PSNR", f"--images={images}", f"--against={images}"]
  assert metrics_command.main(argv) == 2
  said = capsys.readouterr().err
  assert said.startswith("Error: ") and str(images) in said
  assert said.count("\n") == 1


def test_published_weights_that_have_no_end(tmp_path):
  os.mkfifo(tmp_path / "pipe")
  for path in (tmp_path / "pipe", pathlib.Path("/dev/zero")):
    with pytest.raises(errors.UserError, match="is a pipe or a device"):
      weights.read(weights.VGG16, path)


# Damage.


def write_samples(path):
  rng = np.random.default_rng(0)
  videos = rng.integers(0, 256, (6, 3, 4, 4, 1)).astype(np.uint8)
  sample_files.save(
    path, sample_files.Samples(videos[:, -1], videos[:2], 5, 1.5, 8)
  )


def read_samples(path):
  loaded = sample_files.load(path)
  return {"images": loaded.images}


ARRAYS = {"a": SIX, "b": np.ones((2, 2), np.float16), "c": np.array(1)}
TENSORS = torch_zip.state_dict(ARRAYS)
DAMAGED = {
  "npz": (lambda path: convert.write(path, ARRAYS), convert.read),
  "safetensors": (
    lambda path: convert.write(path, {n: ARRAYS[n] for n in "ab"}),
    convert.read,
  ),
  "torch": (lambda path: torch_zip.save(path, TENSORS), convert.read),
  "legacy": (lambda path: torch_zip.save_legacy(path, TENSORS), convert.read),
  "samples.npz": (write_samples, read_samples),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_a_sentence(tmp_path, kind):
  """Cut anywhere, or a byte changed; what has a checksum stays what it was."""
  path = tmp_path / (kind if "." in kind else f"weights.{kind}")
  write, read = DAMAGED[kind]
  write(path)
  whole, good = path.read_bytes(), read(path)
  largest = max(array.size for array in good.values())
  step = max(1, len(whole) // 300)
  noticed = 0
  for place in range(0, len(whole), step):
    path.write_bytes(whole[:place])
    with pytest.raises(errors.UserError) as caught:
      read(path)
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and str(path) in said
    changed = bytes([whole[place] ^ 0x15])
    path.write_bytes(whole[:place] + changed + whole[place + 1 :])
    try:
      found = read(path)
    except errors.UserError:
      noticed += 1
      continue
    assert all(array.size <= largest for array in found.values())
    if kind in ("npz", "samples.npz"):
      for name, array in found.items():
        np.testing.assert_array_equal(array, good[name])
  assert noticed > len(whole) // step // 4

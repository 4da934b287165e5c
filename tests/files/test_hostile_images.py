"""Files of images that attack: refused soon, in one sentence, nothing run."""

import json
import os
import pathlib
import shutil

import pytest
from PIL import Image

from pseudovideo.commands import score as metrics_command
from pseudovideo.metrics import sources
from tests.data import small_videos, test_tfds_sets
from tests.files import child, hostile_arrays, hostile_images
from tests.files.child import CONSUME, IMAGE, SAMPLES, SET, Case


def write(
  folder: pathlib.Path, files: dict[str, bytes], suffix: str
) -> dict[str, pathlib.Path]:
  """Writes files with numbers for names; returns their paths by title."""
  paths = {what: folder / f"{i}{suffix}" for i, what in enumerate(files)}
  for what, path in paths.items():
    path.write_bytes(files[what])
  return paths


def npz_images(folder, trace) -> list[Case]:
  """Archives of images, for what scores and what shows them."""
  paths = write(folder, hostile_arrays.hostile_npz(trace), ".npz")
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
  shape = hostile_arrays.shaped(f"({size // 2**12}, 64, 64, 1)")
  many, large = folder / "many.npz", folder / "large.npz"
  many.write_bytes(
    hostile_arrays.bomb(hostile_arrays.shaped(f"({num}, 1, 1, 1)"), num)
  )
  large.write_bytes(hostile_arrays.bomb(shape, size))
  assert large.stat().st_size < size / 900
  said = f"at most {sources.MAX_NUM:,} are scored"
  # Arrays that nobody asks for are looked at too.
  alone, beside = folder / "alone.npz", folder / "beside.npz"
  alone.write_bytes(hostile_arrays.in_zip(images=hostile_arrays.npy()))
  program = hostile_arrays.objects(f"touch {trace}")
  beside.write_bytes(
    hostile_arrays.in_zip(images=hostile_arrays.npy(), extra=program)
  )
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
    "10^15": hostile_arrays.npy(
      hostile_arrays.shaped("(1000000000000000, 2, 2, 1)")
    ),
    "4 GB of header": hostile_arrays.npy(version=2, length=2**32 - 1),
    "objects": hostile_arrays.objects(f"touch {trace}"),
    "an archive": hostile_arrays.in_zip(images=hostile_arrays.npy()),
    "code": hostile_arrays.npy(b"__import__('os').system('true')"),
    "empty": b"",
  }
  paths = write(folder, contents, ".npy")
  with paths["4 GB of header"].open("r+b") as file:
    file.truncate(2**32 + 100)
  return [Case(what, CONSUME, path) for what, path in paths.items()]


def images(folder, trace) -> list[Case]:
  """Alone, within a folder that is a data set, and as a video's frame."""
  found = []
  makers = {
    what: lambda path, content=content: path.write_bytes(content)
    for what, content in hostile_images.hostile_images(trace).items()
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
  "npz": npz_images,
  "npy": npy_images,
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
  return child.read_all(KINDS, tmp_path_factory, trace)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_refused(outcomes, trace, kind):
  for case, outcome in outcomes[kind]:
    child.check(case, outcome)
  assert not trace.exists()


def test_what_surrounds_the_descriptions_is_sound(tmp_path, monkeypatch):
  """A sound set, read here: in the child of `child` its reader hangs."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  examples = test_tfds_sets.make_examples("mnist")
  test_tfds_sets.write("mnist", tmp_path / "good", examples)
  child.load_set(f"mnist@{tmp_path / 'good'}")


def test_the_command_says_one_sentence(tmp_path, capsys):
  images = tmp_path / "images.npz"
  header = hostile_arrays.npy(b"(" * 5000)
  images.write_bytes(hostile_arrays.in_zip(images=header))
  argv = ["--metrics=PSNR", f"--images={images}", f"--against={images}"]
  assert metrics_command.main(argv) == 2
  said = capsys.readouterr().err
  assert said.startswith("Error: ") and str(images) in said
  assert said.count("\n") == 1

"""The cache of decoded sets: intact, or made again."""

import json
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.data import cache, stamping
from pseudovideo.files import atomic, unkept

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), np.uint8)
LABELS = np.arange(7, dtype=np.int32)


@pytest.fixture(autouse=True)
def home(tmp_path: pathlib.Path, monkeypatch) -> pathlib.Path:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  return tmp_path / "pseudovideo" / "data"


class Builder:
  """Writes the two arrays and counts how often it had to."""

  def __init__(self):
    self.calls = 0

  def __call__(self, new_array: cache.NewArray) -> None:
    self.calls += 1
    new_array("train_images", IMAGES.shape)[:] = IMAGES
    new_array("train_labels", LABELS.shape, np.int32)[:] = LABELS


def check(result: tuple[dict[str, np.ndarray], str]) -> None:
  arrays, fingerprint = result
  assert set(arrays) == {"train_images", "train_labels"}
  np.testing.assert_array_equal(arrays["train_images"], IMAGES)
  np.testing.assert_array_equal(arrays["train_labels"], LABELS)
  assert arrays["train_labels"].dtype == np.int32
  assert fingerprint == cache.fingerprint(
    {"train_images": IMAGES, "train_labels": LABELS}
  )


def pipe(path: pathlib.Path) -> None:
  path.unlink()
  os.mkfifo(path)


def link_to_itself(path: pathlib.Path) -> None:
  path.unlink()
  path.symlink_to(path.name)


def only_folder(home: pathlib.Path) -> pathlib.Path:
  (folder,) = home.iterdir()  # and so nothing temporary is left
  return folder


def test_second_load_reads_what_the_first_wrote(home: pathlib.Path):
  build = Builder()
  check(cache.load("set", [1], build))
  result = cache.load("set", [1], build)
  check(result)
  assert build.calls == 1
  assert isinstance(result[0]["train_images"], np.memmap)
  with pytest.raises(ValueError, match="read-only"):
    result[0]["train_images"][0] = 0
  assert only_folder(home).name.startswith("set-")


def test_other_sources_give_another_entry(home: pathlib.Path):
  build = Builder()
  cache.load("set", {"a": 1, "b": 2}, build)
  cache.load("set", {"b": 2, "a": 1}, build)
  assert build.calls == 1
  cache.load("set", {"a": 1, "b": 3}, build)
  assert build.calls == 2
  assert len(list(home.iterdir())) == 2


def test_new_version_makes_all_sets_again(monkeypatch):
  build = Builder()
  cache.load("set", [1], build)
  monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
  cache.load("set", [1], build)
  assert build.calls == 2


def flip(path: pathlib.Path, position: int) -> None:
  content = bytearray(path.read_bytes())
  content[position] ^= 1
  path.write_bytes(content)


def truncate(path: pathlib.Path) -> None:
  path.write_bytes(path.read_bytes()[:-10])


def reshape(path: pathlib.Path) -> None:
  np.save(path, IMAGES.reshape(7, 48))


def forge(path: pathlib.Path) -> None:
  """A well-formed meta.json that claims another fingerprint."""
  text = path.read_text()
  start = text.index('"fingerprint": "') + len('"fingerprint": "')
  path.write_text(text[:start] + "0" * 64 + text[start + 64 :])


DAMAGES = {
  "header": ("train_images.npy", lambda p: flip(p, 20)),
  "magic": ("train_images.npy", lambda p: flip(p, 0)),
  "pixel": ("train_images.npy", lambda p: flip(p, -5)),
  "label": ("train_labels.npy", lambda p: flip(p, -1)),
  "truncated": ("train_images.npy", truncate),
  "empty": ("train_images.npy", lambda p: p.write_bytes(b"")),
  "missing": ("train_labels.npy", pathlib.Path.unlink),
  "shape": ("train_images.npy", reshape),
  "no meta": ("meta.json", pathlib.Path.unlink),
  "no json": ("meta.json", lambda p: p.write_text("{")),
  "not utf-8": ("meta.json", lambda p: p.write_bytes(b"\xff\xfe\x00")),
  "other json": ("meta.json", lambda p: p.write_text("[1]")),
  "no facts": ("meta.json", lambda p: p.write_text("{}")),
  "forged": ("meta.json", forge),
  "pipe": ("meta.json", pipe),
  "array that is a pipe": ("train_images.npy", pipe),
  "link to itself": ("meta.json", link_to_itself),
}


def test_damaged_entry_is_reported_and_made_again(
  home: pathlib.Path, caplog: pytest.LogCaptureFixture
):
  for damage, (file, spoil) in DAMAGES.items():
    build = Builder()
    check(cache.load("set", [damage], build))
    (folder,) = home.iterdir()
    spoil(folder / file)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "absl"):
      check(cache.load("set", [damage], build))
    assert build.calls == 2, damage
    assert f"{folder} is damaged ({file} " in caplog.text, damage
    check(cache.load("set", [damage], build))
    assert build.calls == 2, damage
    shutil.rmtree(folder)


def test_failed_build_leaves_nothing(home: pathlib.Path):
  def fail(new_array: cache.NewArray) -> None:
    new_array("train_images", (2, 2))[:] = 1
    raise RuntimeError("bad record")

  with pytest.raises(RuntimeError, match="bad record"):
    cache.load("set", [1], fail)
  assert list(home.iterdir()) == []


KILLED = """
import os, signal
from pseudovideo.data import cache
cache._rename = lambda source, target: os.kill(os.getpid(), signal.SIGKILL)
cache.load("set", [1], lambda new_array: new_array("x", (2, 2)))
"""


def test_writer_killed_before_the_rename(home: pathlib.Path):
  """All is written, nothing is visible; the next writer removes it."""
  writer = subprocess.run([sys.executable, "-c", KILLED], check=False)
  assert writer.returncode == -signal.SIGKILL
  leftover = only_folder(home)
  assert leftover.name.startswith(".new-")
  assert (leftover / "meta.json").exists()

  build = Builder()
  check(cache.load("set", [1], build))
  assert build.calls == 1
  assert only_folder(home).name.startswith("set-")


def test_two_writers_at_once(home: pathlib.Path):
  """The second to finish keeps the first one's folder."""
  inner = Builder()

  def overtaken(new_array: cache.NewArray) -> None:
    check(cache.load("set", [1], inner))
    Builder()(new_array)

  check(cache.load("set", [1], overtaken))
  assert inner.calls == 1
  assert only_folder(home).name.startswith("set-")


def test_disk_that_does_not_keep_what_is_written(monkeypatch):
  write = cache._write

  def write_badly(folder: pathlib.Path, *build_and_about) -> None:
    write(folder, *build_and_about)
    flip(folder / "train_images.npy", -1)

  monkeypatch.setattr(cache, "_write", write_badly)
  with pytest.raises(errors.UserError, match="check the disk"):
    cache.load("set", [1], Builder())


def test_a_folder_of_the_users_own(tmp_path: pathlib.Path):
  folder, about = tmp_path / "some" / "where", {"name": "x", "grid": [4, 8]}
  cache.write(folder, Builder(), about)
  arrays, facts = cache.read(folder)
  check((arrays, facts["fingerprint"]))
  assert facts["about"] == about and set(facts["files"]) == {
    "train_images.npy", "train_labels.npy"
  }  # fmt: skip
  with pytest.raises(FileExistsError):
    cache.write(folder, Builder(), {"name": "another"})
  assert cache.read(folder)[1] == facts, "it is not replaced"
  assert list(folder.parent.iterdir()) == [folder], "nothing temporary is left"
  text = (folder / "meta.json").read_text()
  (folder / "meta.json").write_text(text.replace('"x"', '"y"'))
  with pytest.raises(cache.DamagedError, match=r"meta\.json does not match"):
    cache.read(folder)


def test_arrays_survive_the_removal_of_their_folder(home: pathlib.Path):
  """Another process may find the folder damaged, and replace it."""
  for _ in range(2):  # just written, then read
    result = cache.load("set", [1], Builder())
    shutil.rmtree(only_folder(home))
    check(result)
    cache.load("set", [1], Builder())


def _another_set(folder: pathlib.Path) -> None:
  other = folder.with_name("other")
  cache.load("other", [2], lambda new: new("train_images", (2, 2)).fill(1))
  (found,) = folder.parent.glob("other-*")
  shutil.rmtree(folder)
  found.rename(other)
  folder.symlink_to(other)


def _a_file(folder: pathlib.Path) -> None:
  shutil.rmtree(folder)
  folder.write_text("")


def _a_link_to_nowhere(folder: pathlib.Path) -> None:
  shutil.rmtree(folder)
  folder.symlink_to("nowhere")


@pytest.mark.parametrize("spoil", [_another_set, _a_file, _a_link_to_nowhere])
def test_what_is_no_folder_of_this_set_is_replaced(home, caplog, spoil):
  build = Builder()
  check(cache.load("set", [1], build))
  folder = only_folder(home)
  spoil(folder)
  check(cache.load("set", [1], build))
  assert "damaged" in caplog.text and str(folder) in caplog.text
  assert folder.is_dir() and not folder.is_symlink()
  check(cache.load("set", [1], build))
  assert build.calls == 2


def _cache_is_a_file(home, monkeypatch) -> None:
  home.parent.write_text("")


def _disk_is_full(home, monkeypatch) -> None:
  def full(*unused) -> None:
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "posix_fallocate", full, raising=False)


def _there_is_no_home(home, monkeypatch) -> None:
  def unknown(uid: int) -> None:
    raise KeyError(uid)

  monkeypatch.delenv("XDG_CACHE_HOME")
  monkeypatch.delenv("HOME")
  monkeypatch.setattr(atomic.pwd, "getpwuid", unknown)


REFUSALS = [_cache_is_a_file, _disk_is_full, _there_is_no_home]


@pytest.mark.parametrize("refuse", REFUSALS)
def test_small_sets_that_cannot_be_kept_are_in_memory(
  home, monkeypatch, caplog, refuse
):
  refuse(home, monkeypatch)
  monkeypatch.setattr(unkept, "_said", set())
  for _ in range(2):
    found = cache.load("set", [1], Builder())
    check(found)
    assert not found[0]["train_images"].flags.writeable
  assert caplog.text.count("XDG_CACHE_HOME") == 1, "said once"
  assert not home.exists() or list(home.iterdir()) == []


@pytest.mark.parametrize("refuse", REFUSALS)
def test_large_sets_that_cannot_be_kept_are_refused(home, monkeypatch, refuse):
  refuse(home, monkeypatch)
  monkeypatch.setattr(cache, "MEMORY_LIMIT", IMAGES.nbytes)
  with pytest.raises(errors.UserError, match="XDG_CACHE_HOME"):
    cache.load("set", [1], Builder())


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077])
def test_permissions_are_those_of_the_umask(home: pathlib.Path, mask):
  before = os.umask(mask)
  try:
    cache.load("set", [1], Builder(), about={"source": "x", "variant": "y"})
  finally:
    os.umask(before)
  for path in home.rglob("*"):
    most = 0o777 if path.is_dir() else 0o666
    assert path.stat().st_mode & 0o777 == most & ~mask, path


def test_stamps_change_with_the_files(tmp_path: pathlib.Path):
  path = tmp_path / "sub" / "records"
  path.parent.mkdir()
  content = bytearray(3 * stamping.SAMPLE)
  path.write_bytes(content)
  status = path.stat()

  def stamp(change: int | None = None, length: int = len(content)) -> list:
    changed = content[:length]
    if change is not None:
      changed[change] = 1
    path.write_bytes(changed)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return stamping.stamps(tmp_path, [path])

  first = stamp()
  assert first[0][0] == "sub/records"
  assert stamp() == first
  assert stamp(change=0) != first
  assert stamp(change=-1) != first
  assert stamp(length=len(content) - 1) != first
  stamp()
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
  assert stamping.stamps(tmp_path, [path]) != first


def test_small_files_are_stamped_completely(tmp_path: pathlib.Path):
  path = tmp_path / "image.png"
  for size in (1, 100, stamping.SAMPLE, stamping.SAMPLE + 1):
    seen = set()
    for position in (0, size // 2, size - 1):
      content = bytearray(size)
      content[position] = 1 + position % 255
      path.write_bytes(content)
      seen.add(stamping.stamps(tmp_path, [path])[0][3])
    assert len(seen) == len({0, size // 2, size - 1})


def test_fingerprint_tells_sets_apart():
  base = {"x": IMAGES, "y": LABELS}
  found = cache.fingerprint(base)
  assert cache.fingerprint(dict(reversed(base.items()))) == found
  others = [
    {"x": IMAGES, "y": LABELS[::-1]},
    {"x": IMAGES, "z": LABELS},
    {"x": IMAGES.reshape(7, 48), "y": LABELS},
    {"x": IMAGES, "y": LABELS.view(np.uint32)},
    {"x": IMAGES},
  ]
  assert len({found, *map(cache.fingerprint, others)}) == 6


@pytest.mark.parametrize(
  "facts",
  [
    [],
    {"files": {}, "fingerprint": 3},
    {"files": ["x.npy"], "fingerprint": "f"},
    {"files": {"/etc/hostname": "0"}, "fingerprint": "f"},
    {"files": {"../x.npy": "0"}, "fingerprint": "f"},
    {"files": {}, "fingerprint": "f", "about": 3},
  ],
)
def test_facts_that_nobody_writes_open_no_file(tmp_path, monkeypatch, facts):
  text = json.dumps({"facts": facts, "sha256": cache._hash(facts)})
  (tmp_path / "meta.json").write_text(text)
  monkeypatch.setattr(cache, "_read_array", None)
  with pytest.raises(cache.DamagedError, match=r"meta\.json"):
    cache.read(tmp_path)


def test_deep_nesting_is_damage(tmp_path):
  (tmp_path / "meta.json").write_text("[" * 200_000)
  with pytest.raises(cache.DamagedError, match="cannot be read"):
    cache.read(tmp_path)

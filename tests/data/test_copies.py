"""Decoded copies: the newest stay, the others are listed and removed."""

import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from pseudovideo import data
from pseudovideo.commands import cached
from pseudovideo.data import cache, copies


@pytest.fixture(autouse=True)
def home(tmp_path: pathlib.Path, monkeypatch) -> pathlib.Path:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return tmp_path / "cache" / "pseudovideo"


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> pathlib.Path:
  root = tmp_path / "photos"
  root.mkdir()
  change(root, 0)
  return root


def change(root: pathlib.Path, number: int) -> None:
  for i in range(2):
    Image.new("RGB", (8, 8), (number, i, 0)).save(root / f"{i}.png")


def load(root: pathlib.Path, size: int = 8) -> np.ndarray:
  return data.load(f"folder:{root}?size={size}").train_images


def test_the_newest_copies_of_a_folder_stay(photos: pathlib.Path, home):
  other = photos.parent / "other"
  other.mkdir()
  change(other, 99)
  load(other)
  first = load(photos)
  for number in range(1, 8):
    change(photos, number)
    load(photos)
  found = copies.find()
  of_photos = [c for c in found if c.source == str(photos.resolve())]
  assert len(of_photos) == copies.KEPT and len(found) == copies.KEPT + 1
  assert first[0, 0, 0, 0] == 0, "an open copy stays readable"
  assert load(photos)[0, 0, 0, 0] == 7
  assert not [path for path in (home / "data").iterdir() if path.name[0] == "."]


def test_a_copy_in_use_stays_before_newer_ones(photos: pathlib.Path):
  load(photos)
  for size in range(1, 7):
    load(photos, size)
    for copy in copies.find():
      long_ago = copy.used - 1000
      os.utime(copy.folder / copies.USE, (long_ago, long_ago))
    load(photos)
  made = {copy.folder: copy.made for copy in copies.find()}
  load(photos)
  assert {copy.folder: copy.made for copy in copies.find()} == made
  assert len(made) == copies.KEPT


def test_what_nothing_uses_any_more(photos: pathlib.Path):
  gone = photos.parent / "gone"
  gone.mkdir()
  change(gone, 9)
  load(gone)
  shutil.rmtree(gone)
  load(photos, 4)
  load(photos)
  change(photos, 1)
  load(photos)
  cache.load("set", [1], lambda new_array: new_array("x", (1,)))
  found = copies.find()
  assert len(found) == 5
  assert sorted(copy.size for copy in found)[::-1] == [c.size for c in found]
  idle = copies.unused(found)
  assert {copy.is_orphan for copy in idle} == {True, False} and len(idle) == 2
  assert cached.main(["--remove=unused"]) == 0
  assert {c.folder for c in copies.find()} == {
    c.folder for c in found if c not in idle
  }


def test_nothing_else_is_removed(photos: pathlib.Path, home, capsys):
  load(photos)
  (copy,) = copies.find()
  outside = photos.parent / "outside"
  shutil.copytree(copy.folder, outside)
  kind, key = copy.folder.parent, copy.folder.name[-20:]
  kept = [
    kind / f"link-{key}",
    kind / f"more-{key}",
    kind / f"linked-{key}",
    kind / "no-key",
    home / "weights" / f"w-{key}",
    kind / f"file-{key}",
  ]
  kept[0].symlink_to(outside)
  shutil.copytree(copy.folder, kept[1])
  (kept[1] / "notes.txt").write_text("mine")
  shutil.copytree(copy.folder, kept[2])
  (kept[2] / "x.npy").symlink_to(outside / "meta.json")
  shutil.copytree(copy.folder, kept[3])
  kept[4].mkdir(parents=True)
  (kept[4] / "w.npy").write_text("")
  kept[5].write_text("")
  assert cached.main(["--remove=all"]) == 0
  assert all(path.exists() for path in kept) and not copy.folder.exists()
  assert len(list(outside.iterdir())) == len(list(kept[1].iterdir())) - 1
  assert not copies.remove(copy), "another process was faster"


def test_files_that_were_moved(photos: pathlib.Path):
  """They read the same copy, which is then no longer that of the old place."""
  load(photos)
  photos.rename(photos.parent / "moved")
  (copy,) = copies.find()
  assert copy.is_orphan
  load(photos.parent / "moved")
  (copy,) = copies.find()
  assert not copies.unused([copy])


def test_the_list_and_names(photos: pathlib.Path, capsys):
  assert cached.main([]) == 0
  assert "no decoded copies" in capsys.readouterr().out
  load(photos)
  load(photos, 4)
  found = copies.find()
  assert cached.main([]) == 0
  said = capsys.readouterr().out
  assert [said.index(copy.name) for copy in found] == sorted(
    said.index(copy.name) for copy in found
  )
  assert cached.main([f"--remove={found[1].name}"]) == 0
  assert [copy.folder for copy in copies.find()] == [found[0].folder]
  assert cached.main(["--remove=data/nonsense"]) == 2
  assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"facts": 3}', "[" * 99_999])
def test_a_damaged_copy_can_be_removed(photos: pathlib.Path, text: str):
  load(photos)
  (copy,) = copies.find()
  (copy.folder / copies.USE).write_text(text)
  (found,) = copies.find()
  assert found.source is None and copies.remove(found)


def test_a_copy_that_vanishes_is_made_again(photos: pathlib.Path, monkeypatch):
  """Another process removes it between two looks."""
  expected = np.array(load(photos))
  read = cache.read

  def slow(folder: pathlib.Path):
    for copy in copies.find():
      copies.remove(copy)
    monkeypatch.setattr(cache, "read", read)
    return read(folder)

  monkeypatch.setattr(cache, "read", slow)
  np.testing.assert_array_equal(load(photos), expected)

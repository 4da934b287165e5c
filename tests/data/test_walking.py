"""What is taken of a folder: links, hidden files, other endings, odd names."""

import logging
import os
import pathlib

import pytest
from PIL import Image

from pseudovideo import data, errors
from pseudovideo.data import walking
from pseudovideo.metrics import sources
from tests.data import small_videos

ODD_NAMES = [
  *("a,b", "a?b", "a%sb", "a#b", "a=b", "runs[0]", "{a}", "a b", "it's"),
  *('say "it"', "\u00e9t\u00e9 \u65e5", "a\nb", "a&b", "a?size=x", "a:b", "*"),
  *("~nobody", "a?size=4", "%", "x.npz", os.fsdecode(b"\xff")),
]


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def write(path: pathlib.Path, number: int = 0) -> pathlib.Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new("RGB", (4, 4), (number, 0, 0)).save(path, "PNG")
  return path


def count(root: pathlib.Path) -> int:
  found = data.load(f"folder:{root}")
  return len(found.train_images) + len(found.test_images)


def test_links_are_followed_and_never_in_a_circle(tmp_path: pathlib.Path):
  root, other = tmp_path / "root", tmp_path / "other"
  write(root / "deep" / "a.png", 1)
  write(other / "b.png", 2)
  write(other / "below" / "c.png", 3)
  (other / "up").symlink_to(root)
  (root / "folder").symlink_to(other)
  (root / "file.png").symlink_to(write(tmp_path / "d.png", 4))
  (root / "here").symlink_to(root)
  (root / "deep" / "above").symlink_to("..")
  names = [name for name in walking.walk(root).files]
  assert names == [
    *("deep/a.png", "file.png", "folder/b.png", "folder/below/c.png")
  ]
  assert count(root) == 4
  linked = tmp_path / "linked"
  linked.symlink_to(root)
  assert count(linked) == 4


def test_two_links_to_one_folder_are_no_circle(tmp_path: pathlib.Path):
  write(tmp_path / "all" / "a.png", 1)
  for split in ("train", "test"):
    (tmp_path / "root").mkdir(exist_ok=True)
    (tmp_path / "root" / split).symlink_to(tmp_path / "all")
  assert count(tmp_path / "root") == 2


def test_images_of_both_splits_are_said(tmp_path: pathlib.Path, caplog):
  write(tmp_path / "train" / "a.png", 1)
  write(tmp_path / "test" / "b.png", 2)
  (tmp_path / "test" / "c.png").symlink_to(tmp_path / "train" / "a.png")
  caplog.set_level(logging.WARNING, "absl")
  count(tmp_path)
  assert "1 of the 2" in caplog.text and "c.png" in caplog.text


def test_files_that_are_not_taken_are_counted_in_one_line(
  tmp_path: pathlib.Path, caplog
):
  write(tmp_path / "a.png", 1)
  write(tmp_path / "b.PNG", 2)
  for name in (
    *("1.heic", "2.HEIC", "deep/3.heic", "a.txt", "README", "b/Makefile"),
    *(".DS_Store", "._a.png", "Thumbs.db", "desktop.ini", ".git/x.png"),
    *("__MACOSX/a.png", "@eaDir/b.png"),
  ):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
  (tmp_path / "nothing").symlink_to("nowhere")
  (tmp_path / "circle").symlink_to(tmp_path)
  caplog.set_level(logging.WARNING, "absl")
  assert count(tmp_path) == 2
  (line,) = caplog.messages
  assert "3 .heic, 2 without an ending, 1 .txt, 1 broken link, 1 circ" in line


def test_an_image_that_is_a_link_to_nothing_is_named(tmp_path: pathlib.Path):
  write(tmp_path / "a.png")
  write(tmp_path / "b.png")
  (tmp_path / "c.png").symlink_to("nowhere")
  with pytest.raises(errors.UserError, match=r"c\.png cannot be read"):
    count(tmp_path)


@pytest.mark.parametrize("odd", ODD_NAMES, ids=ascii)
def test_names_of_folders_and_files(tmp_path: pathlib.Path, odd: str):
  folder = tmp_path / odd
  for i in range(3):
    write(folder / f"{odd}{i}.png", 10 * i)
  found = data.load(f"folder:{folder}")
  assert len(found.train_images) == 2
  scaled = data.load(f"folder:{folder}?size=2")
  assert scaled.held_out_names == found.held_out_names
  assert scaled.image_shape == (2, 2, 3)
  small_videos.write_gif(folder / f"{odd}.gif", small_videos.plain(2, (4, 4)))
  small_videos.write_gif(folder / f"{odd}2.gif", small_videos.plain(2, (4, 4)))
  found = data.load(f"videos:{folder}?size=4&frames=2")
  assert len(found.train_images) == 1
  assert sources.parse(f"{folder}?size=2").num == 5
  assert sources.parse(f"folder:{folder}?size=2:test").num == 1
  (folder / f"{odd}0.png").write_text("")
  with pytest.raises(errors.UserError) as info:
    data.load(f"folder:{folder}?size=4")
  assert str(info.value).isprintable()

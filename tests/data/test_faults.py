"""Broken files of a folder: all of them in one error, whatever is broken."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from pseudovideo import data, errors
from pseudovideo.data import faults
from pseudovideo.metrics import sources
from tests.data import small_videos

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def good(path: pathlib.Path) -> None:
  Image.fromarray(PICTURE).save(path)


def truncated(path: pathlib.Path) -> None:
  good(path)
  path.write_bytes(path.read_bytes()[:-3000])


def empty(path: pathlib.Path) -> None:
  path.write_bytes(b"")


def text(path: pathlib.Path) -> None:
  path.write_text("no image")


def small(path: pathlib.Path) -> None:
  Image.fromarray(PICTURE[:30, :30]).save(path)


def nothing(path: pathlib.Path) -> None:
  path.symlink_to("nowhere")


BREAKERS = (truncated, empty, text, small, nothing)


def said(name: str) -> str:
  with pytest.raises(errors.UserError) as info:
    data.load(name)
  assert str(info.value).isprintable()
  return str(info.value)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
  for i in range(12):
    good(tmp_path / f"good{i}.png")
  return tmp_path


@pytest.mark.parametrize("size", ["", "?size=32"])
def test_all_are_named_at_once(folder: pathlib.Path, size: str):
  for breaker in BREAKERS:
    for ending in ("png", "jpg"):
      breaker(folder / f"{breaker.__name__}.{ending}")
  message = said(f"folder:{folder}{size}")
  for breaker in BREAKERS:
    for ending in ("png", "jpg"):
      assert f"{breaker.__name__}.{ending}" in message
  assert "good" not in message.replace("good0.png is 64x64", "")


@pytest.mark.parametrize("breaker", BREAKERS, ids=lambda b: b.__name__)
def test_the_first_ten_and_the_number_of_the_others(folder, breaker):
  good(folder / "x.png")
  for i in range(12):
    breaker(folder / f"broken{i:02d}.png")
  message = said(f"folder:{folder}")
  named = [i for i in range(12) if f"broken{i:02d}.png" in message]
  assert named == list(range(faults.NAMED))
  assert "12 of the 25" in message and "and 2 more" in message


def test_images_that_are_scored(folder: pathlib.Path):
  truncated(folder / "a.png")
  truncated(folder / "b.png")
  source = sources.parse(str(folder))
  with pytest.raises(errors.UserError, match=r"a\.png .*b\.png "):
    list(source.blocks())
  empty(folder / "c.png")
  with pytest.raises(errors.UserError, match=r"a\.png .*b\.png .*c\.png "):
    sources.parse(str(folder))


def test_videos(tmp_path: pathlib.Path):
  for name in ("a", "b"):
    small_videos.write_folder(tmp_path / name, small_videos.plain(3, (64, 64)))
    small_videos.write_gif(
      tmp_path / f"{name}.gif", np.stack([PICTURE, PICTURE[::-1], PICTURE])
    )
  name = f"videos:{tmp_path}?size=32&frames=3"
  data.load(name)
  paths = ["a.gif", "b.gif", "a/frame_0.png", "b/frame_1.png", "b/frame_2.png"]
  for path in paths:
    (tmp_path / path).write_bytes((tmp_path / path).read_bytes()[:-60])
  message = said(name)
  assert all(path in message for path in paths)
  for path in paths:
    empty(tmp_path / path)
  small(tmp_path / "a" / "frame_1.png")
  message = said(name)
  assert all(path in message for path in [*paths, "a/frame_1.png"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(folder: pathlib.Path):
  (folder / "good1.png").chmod(0)
  (folder / "good2.png").chmod(0)
  message = said(f"folder:{folder}")
  assert "good1.png" in message and "good2.png" in message

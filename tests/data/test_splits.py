"""Splits of folders of images and of videos, by the names of sub-folders."""

import logging
import pathlib

import pytest
from PIL import Image

from pseudovideo import data
from tests.data import small_videos


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def write_image(folder: pathlib.Path, number: int) -> None:
  Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"{number}.png")


def write_video(folder: pathlib.Path, number: int) -> None:
  frames = small_videos.plain(1, (4, 4), start=number)
  small_videos.write_gif(folder / f"{number}.gif", frames)


KINDS = {
  "folder:{}": write_image,
  "videos:{}?size=4&frames=1": write_video,
}
RULE = None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
  ("folders", "train", "test", "said"),
  [
    # Folders with two files each, numbered from 0, 10 and so on.
    (["train", "test"], [0, 1], [10, 11], []),
    (["Train", "TEST"], [0, 1], [10, 11], []),
    (["train", "val"], [0, 1], [10, 11], ["val"]),
    (["TRAIN", "Valid"], [0, 1], [10, 11], ["Valid"]),
    (["train", "validation"], [0, 1], [10, 11], ["validation"]),
    (["train", "test", "Val"], [0, 1], [10, 11], ["test", "2 in Val"]),
    (["train", "valid", "val"], [0, 1], [20, 21], ["val", "2 in valid"]),
    (["train", "test", "more"], [0, 1], [10, 11], ["2 in more"]),
    (["train", "test", "."], [0, 1], [10, 11], ["2 in no folder"]),
    (["train"], [0, 1], RULE, ["train"]),
    (["train", "more"], [0, 1], RULE, ["train", "2 in more"]),
    (["more", "test"], [0, 1], [10, 11], ["test"]),
    (["a", "b", "val", "test"], [0, 1, 10, 11], [30, 31], ["2 in val"]),
    (["test", "val"], [0, 1, 10, 11], RULE, ["test", "val"]),
    (["a", "b"], [0, 1, 10, 11], RULE, []),
    (["a/train", "a/test"], [0, 1, 10, 11], RULE, ["train", "test"]),
  ],
  ids=lambda value: "-".join(map(str, value)) if value else "",
)
def test_split(tmp_path, caplog, kind, folders, train, test, said):
  for i, folder in enumerate(folders):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for number in (10 * i, 10 * i + 1):
      KINDS[kind](tmp_path / folder, number)
  caplog.set_level(logging.WARNING, "absl")
  found = data.load(kind.format(tmp_path))
  trained_on, held_out = (
    sorted(images.reshape(len(images), -1)[:, 0].tolist())
    for images in (found.train_images, found.test_images)
  )
  if test is RULE:
    assert sorted(trained_on + held_out) == train and len(held_out) == 1
    assert len(found.held_out_names) == 1
  else:
    assert (trained_on, held_out) == (train, test)
    assert found.held_out_names is None
  assert len(caplog.messages) == (1 if said else 0)
  assert all(part in caplog.text for part in said)


def test_an_empty_test_folder_gives_way(tmp_path: pathlib.Path):
  for i, folder in enumerate(("train", "val", "test")):
    (tmp_path / folder).mkdir()
    if folder != "test":
      write_image(tmp_path / folder, i)
  assert data.load(f"folder:{tmp_path}").test_images[0, 0, 0, 0] == 1

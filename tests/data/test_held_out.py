"""The held-out names of folders, over changes of the folder."""

import json
import logging
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from pseudovideo import data, errors
from tests.data import small_videos

# A name that is not UTF-8, as old archives leave them.
ODD = os.fsdecode(b"caf\xe9.png")


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> pathlib.Path:
  home = tmp_path_factory.mktemp("cache")
  monkeypatch.setenv("XDG_CACHE_HOME", str(home))
  return home / "pseudovideo" / "data"


def add_images(root: pathlib.Path, numbers) -> None:
  for i in numbers:
    Image.new("RGB", (4, 4), (i, 0, 0)).save(root / f"{i:03d}.png")


def add_videos(root: pathlib.Path, numbers) -> None:
  for i in numbers:
    frames = small_videos.plain(2, (4, 4), start=i)
    small_videos.write_gif(root / f"{i:03d}.gif", frames)


KINDS = {
  "folder:{}": (add_images, ".png"),
  "videos:{}?size=4&frames=1&per_video=1": (add_videos, ".gif"),
}


@pytest.fixture(params=KINDS)
def kind(request, tmp_path: pathlib.Path):
  """Name of the set, a function that adds to it, and the files' ending."""
  root = tmp_path / "files"
  root.mkdir()
  return request.param.format(root), root, *KINDS[request.param]


def reds(images: np.ndarray) -> list[int]:
  return images[..., 0].reshape(len(images), -1)[:, 0].tolist()


def test_the_names_are_those_of_the_images(kind):
  name, root, add, suffix = kind
  add(root, range(40))
  found = data.load(name)
  held = [f"{red:03d}{suffix}" for red in reds(found.test_images)]
  assert list(found.held_out_names) == held
  assert data.last_frames(found).held_out_names == found.held_out_names


def test_the_split_stays_when_images_are_added(kind):
  name, root, add, _ = kind
  add(root, range(30))
  before = data.load(name)
  add(root, range(30, 90))
  after = data.load(name, held_out=before.held_out_names)
  np.testing.assert_array_equal(after.test_images, before.test_images)
  assert after.held_out_names == before.held_out_names
  assert len(after.train_images) == 90 - len(before.test_images)
  anew = data.load(name)
  assert len(anew.test_images) == 9
  assert anew.fingerprint != after.fingerprint


def warnings(caplog):
  return [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_what_is_gone_is_not_held_out(kind, caplog):
  name, root, add, _ = kind
  add(root, range(30))
  gone, *kept = data.load(name).held_out_names
  (root / gone).unlink()
  caplog.set_level(logging.WARNING, "absl")
  found = data.load(name, held_out={gone, *kept})
  assert list(found.held_out_names) == kept
  assert not warnings(caplog)
  for other in kept:
    (root / other).unlink()
  found = data.load(name, held_out=[gone, *kept])
  assert found.held_out_names == data.load(name).held_out_names
  assert len(warnings(caplog)) == 1


def test_the_rules_own_choice_reads_the_same_copy(kind, cache_home):
  name, root, add, _ = kind
  add(root, range(20))
  found = data.load(name)
  data.load(name, held_out=found.held_out_names)
  assert len(list(cache_home.iterdir())) == 1
  other = [path.name for path in root.iterdir() if path.name[:2] == "00"]
  assert data.load(name, held_out=other).fingerprint != found.fingerprint
  assert len(list(cache_home.iterdir())) == 2


def test_names_that_are_not_utf8(tmp_path: pathlib.Path):
  add_images(tmp_path, range(3))
  (tmp_path / "001.png").rename(tmp_path / ODD)
  for names in ([ODD], [ODD, "002.png"]):
    found = data.load(f"folder:{tmp_path}", held_out=names)
    assert set(found.held_out_names) == set(names)
    read = json.loads(json.dumps(found.held_out_names))
    again = data.load(f"folder:{tmp_path}", held_out=read)
    assert again.held_out_names == found.held_out_names
    assert again.fingerprint == found.fingerprint


def test_no_names_where_the_split_is_given(kind):
  name, root, add, suffix = kind
  for split, numbers in (("train", range(4)), ("test", range(4, 6))):
    (root / split).mkdir()
    add(root / split, numbers)
  found = data.load(name, held_out=[f"train/000{suffix}"])
  assert found.held_out_names is None and reds(found.test_images) == [4, 5]
  assert data.load("digits", held_out=["x"]).held_out_names is None


@pytest.mark.parametrize("background", ["no-colour", "#12345", "", "#12345678"])
def test_other_backgrounds(background: str):
  with pytest.raises(errors.UserError, match="background"):
    data.load("digits", background=background)

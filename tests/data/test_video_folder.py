"""Folders of videos as data sets of clips."""

import hashlib
import logging
import math
import pathlib

import numpy as np
import pytest

from pseudovideo import data, errors
from tests.data.small_videos import (
  numbers,
  plain,
  write_folder,
  write_gif,
  write_mp4,
)


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def many(tmp_path: pathlib.Path) -> pathlib.Path:
  """12 videos of 7 frames; those of video i are 10 i, 10 i + 1 and so on."""
  root = tmp_path / "videos"
  root.mkdir()
  for i in range(12):
    frames = plain(7, start=10 * i)
    if i % 2:
      write_folder(root / f"{i % 3}" / f"{i:02d}", frames)
    else:
      write_gif(root / f"{i:02d}.gif", frames)
  return root


def videos_of(clips: np.ndarray) -> list[int]:
  return [first // 10 for first in numbers(clips[:, 0])]


def test_clips_of_a_video_are_in_one_split(many: pathlib.Path):
  found = data.load(f"videos:{many}?size=16&frames=3")
  train, test = videos_of(found.train_images), videos_of(found.test_images)
  assert len(train) == 20 and len(test) == 4, "two clips of each video"
  assert set(train).isdisjoint(test)
  assert set(train) | set(test) == set(range(12))
  names = {
    i: f"{i % 3}/{i:02d}" if i % 2 else f"{i:02d}.gif" for i in range(12)
  }
  ranked = sorted(
    names, key=lambda i: hashlib.sha256(names[i].encode()).hexdigest()
  )
  assert set(test) == set(ranked[: math.ceil(1.2)])


def test_frames_are_those_of_the_files(tmp_path: pathlib.Path):
  """Interval, half the size and crop."""
  # Means of four such numbers need no rounding.
  frames = 4 * np.random.default_rng(0).integers(0, 64, (2, 11, 32, 48, 3))
  frames = frames.astype(np.uint8)
  for folder in ("train", "test"):
    (tmp_path / folder).mkdir()
  write_mp4(tmp_path / "train" / "a.mp4", frames[0])
  write_folder(tmp_path / "test" / "b", frames[1])
  found = data.load(f"videos:{tmp_path}?size=16&frames=2&interval=3")
  halves = np.float64(frames).reshape(2, 11, 16, 2, 24, 2, 3).mean((3, 5))
  expected = halves[:, [0, 3, 6, 9], :, 4:20].reshape(2, 2, 2, 16, 16, 3)
  np.testing.assert_array_equal(found.train_images, expected[0])
  np.testing.assert_array_equal(found.test_images, expected[1])


def test_what_a_set_says_of_itself(many: pathlib.Path):
  name = f"videos:{many}?size=8&frames=2&per_video=1&interval=2"
  found = data.load(name)
  assert found.name == name
  assert found.source == f"12 clips of 12 videos in {many}."
  assert found.train_images.shape == (10, 2, 8, 8, 3)
  assert found.test_images.shape == (2, 2, 8, 8, 3)
  assert found.image_shape == (8, 8, 3)
  assert found.train_labels is None and found.test_labels is None
  assert isinstance(found.train_images.base, np.memmap)
  assert not found.train_images.flags.writeable
  assert data.clip_frames(name) == 2
  assert data.clip_frames("digits") is None
  again = data.load(name)
  assert again.fingerprint == found.fingerprint
  other = data.load(f"videos:{many}?size=8&frames=2&per_video=1")
  assert other.fingerprint != found.fingerprint


def test_last_frames(many: pathlib.Path):
  found = data.load(f"videos:{many}?size=16&frames=3")
  images = data.last_frames(found)
  assert images.image_shape == (16, 16, 3)
  clips, last = numbers(found.test_images), numbers(images.test_images[:, None])
  assert last == [[clip[-1]] for clip in clips]
  assert len(images.train_images) == len(found.train_images)
  assert images.fingerprint != found.fingerprint
  digits = data.load("digits")
  assert data.last_frames(digits) is digits


def test_given_splits(many: pathlib.Path, caplog):
  (many / "test").mkdir()
  for name in ("00.gif", "02.gif", "04.gif"):
    (many / name).rename(many / "test" / name)
  (many / "1").rename(many / "train")
  with caplog.at_level(logging.WARNING, "absl"):
    found = data.load(f"videos:{many}?size=16&frames=7")
  assert videos_of(found.train_images) == [1, 7]
  assert videos_of(found.test_images) == [0, 2, 4]
  assert "7 of the 12 videos in" in caplog.text


def test_a_split_is_part_of_the_fingerprint(tmp_path: pathlib.Path):
  """Equal clips in equal order are cut in two places."""
  roots = [tmp_path / "one", tmp_path / "two"]
  splits = [("train/a", "train/b", "test/c"), ("train/a", "test/b", "test/c")]
  found = []
  for root, names in zip(roots, splits, strict=True):
    for i, name in enumerate(names):
      write_folder(root / name, plain(2, start=10 * i))
    found.append(data.load(f"videos:{root}?size=16&frames=2"))
  clips = [np.concatenate([s.train_images, s.test_images]) for s in found]
  np.testing.assert_array_equal(*clips)
  assert found[0].fingerprint != found[1].fingerprint


# --- mistakes ---


@pytest.mark.parametrize(
  "query, said",
  [
    ("", "lacks a folder, the size or the number of frames"),
    ("?size=16", "lacks a folder, the size or the number of frames"),
    ("?frames=3", "lacks a folder, the size or the number of frames"),
    ("?size=16&frames=-3", "has 'frames=-3' where one of size, frames"),
    ("?size=16&frames=3&frames=5", "has 'frames=5' where .*, each once"),
    ("?size=16&frames=3&fps=5", "has 'fps=5' where one of size, frames"),
    ("?size=0&frames=3", "Clips cannot have side=0"),
    ("?size=17&frames=3", "smaller than the asked side 17"),
    ("?size=16&frames=8", "None of the 12 videos .* has the 8 frames"),
  ],
)
def test_other_texts(many: pathlib.Path, query: str, said: str):
  with pytest.raises(errors.UserError, match=said):
    data.load(f"videos:{many}{query}")


def test_other_folders(tmp_path: pathlib.Path):
  query = "?size=16&frames=2"
  with pytest.raises(errors.UserError, match="names no folder that exists"):
    data.load(f"videos:{tmp_path / 'nowhere'}{query}")
  with pytest.raises(errors.UserError, match="lacks a folder, the size or"):
    data.load(f"videos:{query}")
  write_folder(tmp_path / "a", plain(3))
  with pytest.raises(errors.UserError, match=r"There are 1 videos in .* hold"):
    data.load(f"videos:{tmp_path}{query}")
  (tmp_path / "a").rename(tmp_path / "train")
  (tmp_path / "test").mkdir()
  with pytest.raises(errors.UserError, match=r"no videos in .*test; put some"):
    data.load(f"videos:{tmp_path}{query}")
  write_folder(tmp_path / "test" / "a", plain(1))
  with pytest.raises(errors.UserError, match="in the split 'test' has 2 fra"):
    data.load(f"videos:{tmp_path}{query}")

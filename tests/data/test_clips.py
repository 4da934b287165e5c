"""Folders of videos as clips."""

import logging
import pathlib
import struct
import sys
import tracemalloc

import av
import numpy as np
import pytest
from PIL import Image

from pseudovideo import errors
from pseudovideo.data import cache, clips, decoding, videos
from pseudovideo.data.clips import Cut
from tests.data.small_videos import (
  numbers,
  plain,
  write_folder,
  write_gif,
  write_mp4,
)
from tests.files import hostile_images


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> pathlib.Path:
  home = tmp_path_factory.mktemp("cache")
  monkeypatch.setenv("XDG_CACHE_HOME", str(home))
  return home


WRITERS = {"a.mp4": write_mp4, "a.GIF": write_gif, "a": write_folder}


@pytest.fixture
def mixed(tmp_path: pathlib.Path) -> pathlib.Path:
  """Three videos of 12, 7 and 13 frames, from 0, 100 and 200 on."""
  root = tmp_path / "videos"
  write_folder(root / "deep" / "c", plain(13, start=200))
  write_gif(root / "b.gif", plain(7, start=100))
  write_mp4(root / "a.mp4", plain(12))
  return root


# --- decoding ---


@pytest.mark.parametrize("name", WRITERS)
def test_frames_are_those_that_were_written(tmp_path: pathlib.Path, name: str):
  """Videos of every kind; the square of the frame's height is cut out."""
  rng = np.random.default_rng(0)
  # Gifs have 256 colours, so that few of them are exact.
  frames = rng.choice(np.uint8([0, 60, 255]), (11, 16, 24, 3))
  WRITERS[name](tmp_path / name, frames)
  found = clips.load(tmp_path, Cut(frames=5, side=16))
  assert found.names == (name,)
  assert found.clips.dtype == np.uint8
  np.testing.assert_array_equal(
    found.clips, frames[:10, :, 4:20].reshape(2, 5, 16, 16, 3)
  )


def test_frames_stored_out_of_order(tmp_path: pathlib.Path):
  """The usual file: with frames between two that are stored before them."""
  frames = plain(30) * np.uint8([8, 1, 1])
  path = tmp_path / "a.mp4"
  options = {"crf": "10", "x264-params": "scenecut=0:b-adapt=0:bframes=3"}
  write_mp4(path, frames, "libx264", "yuv420p", **options)
  with av.open(str(path)) as container:
    times = [packet.pts for packet in container.demux(video=0) if packet.size]
  assert times != sorted(times)
  found = clips.load(tmp_path, Cut(frames=30, side=16))
  middle = np.int32(found.clips[0, :, 8, 8])
  np.testing.assert_allclose(middle, np.int32(frames[:, 8, 8]), atol=4)


def test_frames_are_resized_as_images_are(tmp_path: pathlib.Path):
  rng = np.random.default_rng(0)
  frames = rng.integers(0, 256, (2, 36, 50, 3), np.uint8)
  write_mp4(tmp_path / "a.mp4", frames)
  expected = [
    np.asarray(decoding.square(Image.fromarray(frame), 16)) for frame in frames
  ]
  found = clips.load(tmp_path, Cut(frames=2, side=16))
  np.testing.assert_array_equal(found.clips, [expected])


ONE = 1 << 16


@pytest.mark.parametrize(
  ("a", "b", "c", "d", "show"),
  [
    (0, ONE, -ONE, 0, lambda frames: np.rot90(frames, -1, (1, 2))),
    (-ONE, 0, 0, -ONE, lambda frames: np.rot90(frames, 2, (1, 2))),
    (0, -ONE, ONE, 0, lambda frames: np.rot90(frames, 1, (1, 2))),
    (-ONE, 0, 0, ONE, lambda frames: frames[:, :, ::-1]),
    (ONE, 0, 0, -ONE, lambda frames: frames[:, ::-1]),
    (0, ONE, ONE, 0, lambda frames: np.swapaxes(frames, 1, 2)),
    (0, -ONE, -ONE, 0, lambda f: np.swapaxes(f, 1, 2)[:, ::-1, ::-1]),
    (0, 0, 0, 0, lambda frames: frames),
  ],
  ids=["90", "180", "270", "mirror", "flip", "transpose", "transverse", "none"],
)
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_frames_are_turned_as_the_file_says(
  tmp_path: pathlib.Path, a: int, b: int, c: int, d: int, show, ending: str
):
  """A matrix that shows the pixel (x, y) at (a x + c y, b x + d y)."""
  frames = np.random.default_rng(0).integers(0, 256, (2, 16, 20, 3), np.uint8)
  path = tmp_path / f"a.{ending}"
  write_mp4(path, frames)
  content = path.read_bytes()
  plain_one = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
  turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
  track = content.index(b"tkhd")
  assert content[track:].count(plain_one) == 1
  path.write_bytes(content[:track] + content[track:].replace(plain_one, turned))
  found = clips.load(tmp_path, Cut(frames=2, side=16))
  expected = show(frames)
  top, left = ((n - 16) // 2 for n in expected.shape[1:3])
  expected = expected[:, top : top + 16, left : left + 16]
  np.testing.assert_array_equal(found.clips[0], expected)


@pytest.mark.parametrize(
  ("codec", "pixels", "ending"),
  [
    ("qtrle", "argb", "mov"),
    ("png", "rgba", "mov"),
    ("prores_ks", "yuva444p10le", "mov"),
    ("ffv1", "bgra", "mkv"),
    ("libvpx", "yuva420p", "webm"),
    ("libvpx-vp9", "yuva420p", "webm"),
  ],
)
def test_transparent_frames(tmp_path: pathlib.Path, codec, pixels, ending):
  """Red whose left half is transparent, on green."""
  frames = np.full((2, 32, 32, 4), (255, 0, 0, 255), np.uint8)
  frames[:, :, :16, 3] = 0
  with av.open(str(tmp_path / f"a.{ending}"), "w") as container:
    stream = container.add_stream(codec, 10)
    stream.width = stream.height = 32
    stream.pix_fmt = pixels
    if codec.startswith("libvpx"):
      stream.options = {"auto-alt-ref": "0"}
    for frame in frames:
      picture = av.VideoFrame.from_ndarray(frame, format="rgba")
      container.mux(stream.encode(picture))
    container.mux(stream.encode())
  found = clips.load(tmp_path, Cut(frames=2, side=32), background=(0, 255, 0))
  left, right = found.clips[0, :, :, 4], found.clips[0, :, :, 28]
  np.testing.assert_allclose(left, np.broadcast_to([0, 255, 0], left.shape))
  expected = np.broadcast_to([255, 0, 0], right.shape)
  np.testing.assert_allclose(right, expected, atol=4)


# --- cutting ---


def test_clips_follow_one_another(mixed: pathlib.Path):
  found = clips.load(mixed, Cut(frames=5, side=16))
  assert found.names == ("a.mp4", "b.gif", "deep/c")
  assert numbers(found.clips) == [
    [0, 1, 2, 3, 4],
    [5, 6, 7, 8, 9],
    [100, 101, 102, 103, 104],
    [200, 201, 202, 203, 204],
    [205, 206, 207, 208, 209],
  ]
  assert found.video.tolist() == [0, 0, 1, 2, 2]
  assert not found.clips.flags.writeable


def test_interval(mixed: pathlib.Path):
  """A clip of 3 frames spans 1 + 2 * 3 frames; the next starts at 9."""
  found = clips.load(mixed, Cut(frames=3, side=16, interval=3))
  assert numbers(found.clips) == [
    [0, 3, 6],
    [100, 103, 106],
    [200, 203, 206],
  ]
  found = clips.load(mixed, Cut(frames=2, side=16, interval=3))
  assert numbers(found.clips) == [
    [0, 3],
    [6, 9],
    [100, 103],
    [200, 203],
    [206, 209],
  ]


def test_clips_per_video(mixed: pathlib.Path):
  found = clips.load(mixed, Cut(frames=2, side=16, per_video=2))
  assert numbers(found.clips) == [
    [0, 1],
    [2, 3],
    [100, 101],
    [102, 103],
    [200, 201],
    [202, 203],
  ]


def test_no_more_is_decoded_than_is_asked_for(tmp_path: pathlib.Path):
  write_folder(tmp_path / "a", plain(4))
  for name in ("frame_1.png", "frame_3.png"):
    (tmp_path / "a" / name).write_text("broken")
  found = clips.load(tmp_path, Cut(frames=2, side=16, interval=2))
  assert numbers(found.clips) == [[0, 2]]
  found = clips.load(tmp_path, Cut(frames=1, side=16, per_video=1))
  assert numbers(found.clips) == [[0]]


def test_a_long_video_is_never_in_memory(tmp_path: pathlib.Path):
  write_mp4(tmp_path / "a.mp4", plain(250, (128, 128)))
  clips.load(tmp_path, Cut(frames=4, side=64))  # imports what it needs
  tracemalloc.start()
  try:
    found = clips.load(tmp_path, Cut(frames=5, side=128))
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert found.clips.shape == (50, 5, 128, 128, 3)
  assert peak < found.clips.nbytes / 4


def test_two_folders_of_the_same_videos_are_equal(
  mixed: pathlib.Path, tmp_path: pathlib.Path
):
  cut = Cut(frames=3, side=8)
  mixed.rename(tmp_path / "renamed")
  first = clips.load(tmp_path / "renamed", cut)
  write_mp4(tmp_path / "renamed" / "z.mp4", plain(3))
  second = clips.load(tmp_path / "renamed", cut)
  assert first.fingerprint != second.fingerprint
  np.testing.assert_array_equal(second.clips[:-1], first.clips)
  (tmp_path / "renamed" / "z.mp4").unlink()
  third = clips.load(tmp_path / "renamed", cut)
  assert third.fingerprint == first.fingerprint


def test_a_cached_set_is_not_decoded_again(mixed: pathlib.Path, monkeypatch):
  cut = Cut(frames=3, side=8)
  first = clips.load(mixed, cut)
  monkeypatch.setattr(videos, "frames", None)
  np.testing.assert_array_equal(clips.load(mixed, cut).clips, first.clips)


# --- what is left out ---


def test_short_videos_are_counted_each_time(mixed: pathlib.Path, caplog):
  for _ in range(2):
    caplog.clear()
    with caplog.at_level(logging.WARNING, "absl"):
      found = clips.load(mixed, Cut(frames=12, side=16))
    assert numbers(found.clips[:, 0]) == [0, 200]
    assert found.video.tolist() == [0, 2]
    assert (
      "1 of the 3 videos in" in caplog.text
      and "fewer than 12 frames and are left out: b.gif." in caplog.text
    )


def test_hidden_files_and_other_files_are_left_out(mixed: pathlib.Path):
  write_mp4(mixed / ".hidden.mp4", plain(3))
  write_folder(mixed / ".thumbnails" / "x", plain(3))
  (mixed / "notes.txt").write_text("")
  (mixed / "folder.mp4").mkdir()
  assert list(videos.find(mixed)) == ["a.mp4", "b.gif", "deep/c"]


@pytest.mark.parametrize(
  "covers",
  [
    ["a.jpg"],
    ["cover.png", "deep/poster.webp"],
    ["deep/d.jpg", "folder.jpg"],
    ["thumbs/x.jpg", "deep/Covers/1.jpg"],
    ["small/a.jpg", "small/b.jpg"],
    ["a.gif"],
  ],
  ids=" ".join,
)
def test_covers_of_videos_are_no_clips(mixed: pathlib.Path, covers, caplog):
  write_mp4(mixed / "deep" / "d.mp4", plain(3))
  (mixed / "deep" / "c").rename(mixed / "frames")
  for name in covers:
    (mixed / name).parent.mkdir(exist_ok=True)
    Image.new("RGB", (20, 16), (99, 0, 0)).save(mixed / name)
  caplog.set_level(logging.WARNING, "absl")
  found = clips.load(mixed, Cut(frames=1, side=16, per_video=1))
  assert found.names == ("a.mp4", "b.gif", "deep/d.mp4", "frames")
  assert numbers(found.clips) == [[0], [100], [0], [200]]
  assert len(caplog.messages) == 1


def test_frames_beside_films_with_other_names(mixed: pathlib.Path):
  """Numbers, which are names of films too, and folders of one frame."""
  write_mp4(mixed / "1.mp4", plain(3))
  write_mp4(mixed / "2.mp4", plain(3))
  (mixed / "x").mkdir()
  for i in (1, 2):
    Image.new("RGB", (20, 16), (i, 0, 0)).save(mixed / "x" / f"{i}.jpg")
  assert list(videos.find(mixed)) == [
    *("1.mp4", "2.mp4", "a.mp4", "b.gif", "deep/c", "x")
  ]


# --- mistakes ---


def expect(root: pathlib.Path, *parts: str, **cut) -> None:
  with pytest.raises(errors.UserError) as info:
    clips.load(root, Cut(**{"frames": 3, "side": 16, **cut}))
  message = str(info.value)
  for part in parts:
    assert part in message
  assert "\n" not in message and message.endswith((".", "EXTRA=video"))


def test_no_videos(tmp_path: pathlib.Path):
  expect(tmp_path, f"There are no videos in {tmp_path}; give", ".mp4", ".gif")
  expect(tmp_path / "nowhere", "There are no videos in")


def test_all_too_short(mixed: pathlib.Path):
  said = "None of the 3 videos in", "has the 25 frames that 5 frames at"
  expect(mixed, *said, frames=5, interval=6)


def test_numbers_below_one(tmp_path: pathlib.Path):
  for name in ("frames", "side", "interval", "per_video"):
    expect(tmp_path, f"Clips cannot have {name}=0; give", **{name: 0})


def test_frames_are_not_enlarged(mixed: pathlib.Path):
  write_mp4(mixed / "small.mp4", plain(3, (16, 14)))
  expect(mixed, "small.mp4 is 16x14, smaller than the asked side 16")


def test_broken_file(tmp_path: pathlib.Path):
  for name in ("a.mp4", "a.avi", "a.webm", "a.gif"):
    path = tmp_path / name
    for broken in ("", "no video"):
      path.write_text(broken)
      expect(tmp_path, f"{path} cannot be read as a")
    path.unlink()


@pytest.mark.parametrize("name", ["a.mp4", "a.GIF"])
def test_file_that_was_cut_off(tmp_path: pathlib.Path, name: str):
  path = tmp_path / name
  WRITERS[name](path, plain(20))
  content = path.read_bytes()
  for length in (len(content) * 6 // 10, len(content) - 100):
    path.write_bytes(content[:length])
    expect(tmp_path, f"{path} cannot be read as a", "; replace or remove it.")


def test_file_broken_in_its_middle(tmp_path: pathlib.Path):
  path = tmp_path / "a.mp4"
  frames = np.random.default_rng(0).integers(0, 256, (9, 16, 20, 3), np.uint8)
  write_mp4(path, frames)
  content = bytearray(path.read_bytes())
  middle = len(content) // 2
  content[middle : middle + 2000] = b"\xff" * 2000
  path.write_bytes(content)
  expect(tmp_path, f"{path} cannot be read as a video (")


def test_broken_files_are_counted_before_anything_is_decoded(
  mixed: pathlib.Path, monkeypatch
):
  monkeypatch.setattr(videos, "frames", None)
  (mixed / "b.gif").write_text("no video")
  (mixed / "deep" / "c" / "frame_0.png").write_text("no image")
  expect(mixed, "2 of the ", "b.gif cannot", "deep/c/frame_0.png cannot")


def test_frames_of_two_sizes(tmp_path: pathlib.Path):
  write_folder(tmp_path / "a", plain(4))
  Image.new("RGB", (20, 17)).save(tmp_path / "a" / "frame_2.png")
  expect(tmp_path, "frame_2.png is 20x17", "20x16")


def test_too_many_pixels(mixed: pathlib.Path, monkeypatch):
  monkeypatch.setattr(decoding, "MAX_PIXELS", 20 * 16 - 1)
  expect(mixed, "a.mp4 cannot be read as a video", "its frames are 20x16")


def test_files_that_name_other_files(mixed: pathlib.Path):
  """Playlists, which FFmpeg would follow where it may guess the container."""
  path = mixed / "list.mp4"
  for text in (
    f"#EXTM3U\n#EXTINF:1,\nfile://{mixed / 'a.mp4'}\n#EXT-X-ENDLIST\n",
    "ffconcat version 1.0\nfile a.mp4\n",
  ):
    path.write_text(text)
    expect(mixed, f"{path} cannot be read as a video")


def test_a_gif_whose_frames_grow(tmp_path: pathlib.Path):
  write_gif(tmp_path / "good.gif", plain(3))
  for i, sizes in enumerate([[(9, 9), (60_000, 60_000)], [(9, 9), (20, 20)]]):
    (tmp_path / f"{i}.gif").write_bytes(hostile_images.gif(9, 9, *sizes))
    expect(tmp_path, f"{i}.gif", frames=1, side=4)
    (tmp_path / f"{i}.gif").unlink()


def test_sound_alone(tmp_path: pathlib.Path):
  path = tmp_path / "a.mov"
  with av.open(str(path), "w") as container:
    stream = container.add_stream("pcm_s16le", 8000, layout="mono")
    silence = np.zeros((1, 80), np.int16)
    sound = av.AudioFrame.from_ndarray(silence, "s16", "mono")
    sound.sample_rate = 8000
    container.mux(stream.encode(sound))
  expect(tmp_path, f"{path} cannot be read as a video", "it has no pictures")


def test_without_the_library(mixed: pathlib.Path, monkeypatch):
  monkeypatch.setitem(sys.modules, "av", None)
  expect(mixed, "a.mp4 needs PyAV", "make install EXTRA=video")
  (mixed / "a.mp4").unlink()
  found = clips.load(mixed, Cut(frames=7, side=16))
  assert numbers(found.clips[:, 0]) == [100, 200]


def test_full_disk(mixed: pathlib.Path, monkeypatch):
  def full(**_):
    raise OSError(28, "No space left on device")

  whole = clips.load(mixed, Cut(3, 16)).clips
  monkeypatch.setattr(clips.tempfile, "TemporaryFile", full)
  monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
  again = clips.load(mixed, Cut(3, 16)).clips
  np.testing.assert_array_equal(again, whole)
  monkeypatch.setattr(cache, "MEMORY_LIMIT", 100)
  monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
  expect(mixed, "XDG_CACHE_HOME", "No space left on device")

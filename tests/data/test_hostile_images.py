"""Folders of images and videos that attack what decodes them."""

import os
import pathlib
import threading

import numpy as np
import pytest
from PIL import Image

from pseudovideo import data, errors
from pseudovideo.data import decoding, folder
from tests import hostile
from tests.data import small_videos

# What makes a reader wait for ever, or fail before it decodes.
STRANGE = ("pipe", "device", "loop", "dangling")


def strange(place: pathlib.Path, what: str) -> pathlib.Path:
  """A file that is none, with the name of an image."""
  path = place / f"{what}.png"
  if what == "pipe":
    os.mkfifo(path)
  else:
    targets = {"device": "/dev/zero", "loop": path, "dangling": "nowhere"}
    path.symlink_to(targets[what])
  return path


@pytest.fixture
def plain(tmp_path: pathlib.Path) -> pathlib.Path:
  """A folder of five good images."""
  root = tmp_path / "images"
  root.mkdir()
  for i in range(5):
    Image.new("RGB", (4, 4), (i, i, i)).save(root / f"{i}.png")
  return root


def test_every_file_is_refused(tmp_path: pathlib.Path):
  """Alone, within a folder that is a data set, and as a video's frame."""
  cases, titles, paths = [], [], []
  contents = hostile.hostile_images(tmp_path / "executed")
  for number, (what, content) in enumerate(contents.items()):
    root = tmp_path / str(number)
    path = root / "deep" / "b.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    Image.new("RGB", (32, 32)).save(root / "a.png")
    cases += [
      ("tests.hostile:open_image", path),
      ("tests.hostile:load_set", f"folder:{root}?size=4"),
      ("tests.hostile:load_set", f"videos:{root}?size=4&frames=1"),
      ("tests.hostile:consume", f"{root}?size=4"),
    ]
    titles += 4 * [what]
    paths += 4 * [path]
  for what in STRANGE:
    root = tmp_path / what
    root.mkdir()
    paths += 3 * [strange(root, what)]
    Image.new("RGB", (32, 32)).save(root / "a.png")
    cases += [
      ("tests.hostile:load_set", f"folder:{root}?size=4"),
      ("tests.hostile:load_set", f"videos:{root}?size=4&frames=1"),
      ("tests.hostile:consume", f"{root}?size=4"),
    ]
    titles += 3 * [what]
  found = hostile.outcomes(cases)
  for what, path, outcome in zip(titles, paths, found, strict=True):
    hostile.assert_refused(outcome, path, what)
  assert not (tmp_path / "executed").exists()


def test_folders_named_as_images_are_looked_into(plain: pathlib.Path):
  (plain / "folder.png").mkdir()
  (plain / "0.png").rename(plain / "folder.png" / "0.png")
  (plain / "link.png").symlink_to(plain)  # Links to folders are not followed.
  assert len(folder.list_images(plain)) == 5


@pytest.mark.parametrize("mode", ["P", "RGBA", "PA", "LA", "CMYK", "1"])
def test_every_mode_becomes_colours(tmp_path: pathlib.Path, mode: str):
  if mode == "PA":
    image = Image.new("P", (4, 4), 0)
    image.info["transparency"] = 0
  else:
    image = Image.new(mode, (4, 4))
  # Pillow tells the format by the contents: the ending does not matter.
  form = "JPEG" if mode == "CMYK" else "PNG"
  image.save(tmp_path / "a.webp", form)
  with decoding.opened(tmp_path / "a.webp", "it") as image:
    array = decoding.to_array(image, 3, None)
  assert array.shape == (4, 4, 3) and array.dtype == np.uint8


def test_large_images_are_decoded_one_at_a_time(plain, monkeypatch):
  """Else a computer of many cores would need a GB for each."""
  monkeypatch.setattr(decoding, "LARGE", 15)
  busy, most, lock = [], [], threading.Lock()
  convert = Image.Image.convert

  def slow(self, *args, **options):
    with lock:
      busy.append(1)
      most.append(len(busy))
    try:
      return convert(self, *args, **options)
    finally:
      with lock:
        busy.pop()

  monkeypatch.setattr(Image.Image, "convert", slow)
  image = Image.new("RGB", (4, 4))
  threads = [
    threading.Thread(target=decoding.to_array, args=(image, 3, None))
    for _ in range(16)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(most) == 16 and max(most) == 1


def test_a_jpeg_of_many_scans(tmp_path: pathlib.Path):
  """Each is 100 bytes and costs as much as decoding the image."""
  path = tmp_path / "a.jpg"
  Image.new("L", (640, 640), 128).save(path, progressive=True)
  scans = path.read_bytes().split(b"\xff\xda")
  assert 5 <= len(scans) - 1 <= 20
  for times, good in ((50, True), (101, False)):
    more = [*scans[:2], *times * [scans[2]], *scans[2:]]
    path.write_bytes(b"\xff\xda".join(more))
    if good:
      hostile.open_image(str(path))
    else:
      with pytest.raises(errors.UserError, match=r"a JPEG of 10\d scans"):
        hostile.open_image(str(path))


def test_a_gif_whose_frames_grow(tmp_path: pathlib.Path):
  small_videos.write_gif(tmp_path / "good.gif", small_videos.plain(3))
  for i, sizes in enumerate([[(9, 9), (60_000, 60_000)], [(9, 9), (20, 20)]]):
    (tmp_path / f"{i}.gif").write_bytes(hostile.gif(9, 9, *sizes))
    with pytest.raises(errors.UserError, match=rf"{i}\.gif"):
      data.load(f"videos:{tmp_path}?size=4&frames=1")
    (tmp_path / f"{i}.gif").unlink()


def patched(content: bytes, box: bytes, offset: int, new: bytes) -> bytes:
  """A video file with the bytes after the only box of a name changed."""
  assert content.count(box) == 1
  place = content.index(box) + 4 + offset
  return content[:place] + new + content[place + len(new) :]


def test_videos_that_lie(tmp_path: pathlib.Path):
  """Of their sizes and lengths: refused, or the lie does not matter."""
  small_videos.write_mp4(tmp_path / "good.mp4", small_videos.plain(8))
  good = (tmp_path / "good.mp4").read_bytes()
  (tmp_path / "good.mp4").unlink()
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
  cases, paths = [], []
  for i, content in enumerate(changes.values()):
    path = tmp_path / str(i) / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(content)
    (path.parent / "b.mp4").write_bytes(good)
    paths.append(path)
    text = f"videos:{path.parent}?size=4&frames=1"
    cases.append(("tests.hostile:load_set", text))
  found = hostile.outcomes(cases)
  for what, path, outcome in zip(changes, paths, found, strict=True):
    if what in ("wide", "many chunks", "long box"):
      assert outcome.kind is None, outcome  # The frames say how wide they are.
    else:
      hostile.assert_refused(outcome, path, what)

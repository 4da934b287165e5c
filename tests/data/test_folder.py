"""Folders of images as data sets."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from pseudovideo import data, errors
from pseudovideo.data import decoding, image_files


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def colour(number: int, size: tuple[int, int] = (6, 4)) -> Image.Image:
  return Image.new("RGB", size, (number, 255 - number, 7))


def write(path: pathlib.Path, image: Image.Image) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  image.save(path)


def numbers(images: np.ndarray) -> list[int]:
  return images[:, 0, 0, 0].tolist()


@pytest.fixture
def plain(tmp_path: pathlib.Path) -> pathlib.Path:
  """40 images in nested folders, written in no particular order."""
  for i in np.random.default_rng(0).permutation(40):
    write(tmp_path / f"{i % 3}" / f"{i:02d}.png", colour(int(i)))
  return tmp_path


def test_plain_folder(plain: pathlib.Path):
  images = data.load(f"folder:{plain}")
  assert images.image_shape == (4, 6, 3)
  assert len(images.train_images) == 36 and len(images.test_images) == 4
  train, test = numbers(images.train_images), numbers(images.test_images)
  assert sorted(train + test) == list(range(40))
  by_path = sorted(range(40), key=lambda i: (str(i % 3), i))
  assert train == [i for i in by_path if i in train]
  assert test == [i for i in by_path if i in test]
  assert images.train_labels is None and images.test_labels is None
  assert images.num_classes is None
  assert images.source == f"40 images in {plain}."
  assert images.name == f"folder:{plain}"


def test_split_depends_on_relative_paths_only(
  plain: pathlib.Path, tmp_path_factory
):
  copy = tmp_path_factory.mktemp("elsewhere") / "copy"
  for path in plain.rglob("*.png"):
    write(copy / path.relative_to(plain), Image.open(path))
  first, second = data.load(f"folder:{plain}"), data.load(f"folder:{copy}")
  assert first.fingerprint == second.fingerprint
  np.testing.assert_array_equal(first.test_images, second.test_images)


def test_changed_image_is_noticed(plain: pathlib.Path):
  before = data.load(f"folder:{plain}")
  write(plain / "0" / "00.png", colour(200))
  after = data.load(f"folder:{plain}")
  assert after.fingerprint != before.fingerprint
  both = numbers(after.train_images) + numbers(after.test_images)
  assert sorted(both) == [*range(1, 40), 200]


def test_added_image_is_noticed(plain: pathlib.Path):
  data.load(f"folder:{plain}")
  write(plain / "new.bmp", colour(99))
  images = data.load(f"folder:{plain}")
  assert 99 in numbers(images.train_images) + numbers(images.test_images)


def test_all_formats_and_no_other_files(tmp_path: pathlib.Path):
  for ending in ("png", "PNG", "jpg", "jpeg", "webp", "bmp"):
    write(tmp_path / f"{ending}.{ending}", colour(3, (8, 8)))
  for ending in ("gif", "tif", "TIFF"):
    write(tmp_path / f"{ending}.{ending}", colour(3, (8, 8)))
  write(tmp_path / ".hidden.png", colour(3, (99, 99)))
  write(tmp_path / ".hidden" / "x.png", colour(3, (99, 99)))
  (tmp_path / "notes.txt").write_text("")
  images = data.load(f"folder:{tmp_path}")
  assert len(images.train_images) + len(images.test_images) == 9


def test_folders_named_as_images_are_looked_into(plain: pathlib.Path):
  (plain / "0").rename(plain / "folder.png")
  assert len(image_files.find(plain)) == 40


def test_grey_only_if_all_are_grey(tmp_path: pathlib.Path):
  for i in range(5):
    write(tmp_path / f"{i}.png", Image.new("L", (4, 4), 10 * i))
  images = data.load(f"folder:{tmp_path}")
  assert images.image_shape == (4, 4, 1)
  write(tmp_path / "colour.png", colour(9, (4, 4)))
  assert data.load(f"folder:{tmp_path}").image_shape == (4, 4, 3)


def test_given_split_and_classes(tmp_path: pathlib.Path):
  for split, start in (("train", 0), ("test", 100)):
    for i, name in enumerate(["ant", "bee", "cat"]):
      for j in range(i + 1):
        write(
          tmp_path / split / name / "deep" / f"{j}.png",
          colour(start + 10 * i + j),
        )
  images = data.load(f"folder:{tmp_path}")
  assert numbers(images.train_images) == [0, 10, 11, 20, 21, 22]
  assert numbers(images.test_images) == [100, 110, 111, 120, 121, 122]
  assert images.train_labels.tolist() == [0, 1, 1, 2, 2, 2]
  assert images.test_labels.tolist() == [0, 1, 1, 2, 2, 2]
  assert images.train_labels.dtype == np.int32
  assert images.num_classes == 3


def test_given_split_without_classes(tmp_path: pathlib.Path):
  write(tmp_path / "train" / "a.png", colour(1))
  write(tmp_path / "train" / "deep" / "b.png", colour(2))
  write(tmp_path / "test" / "c.png", colour(3))
  images = data.load(f"folder:{tmp_path}")
  assert numbers(images.train_images) == [1, 2]
  assert numbers(images.test_images) == [3]
  assert images.train_labels is None and images.num_classes is None


def test_classes_in_any_case(tmp_path: pathlib.Path):
  for i, name in enumerate(["Train/Bee", "Train/ant", "TEST/bee", "TEST/ANT"]):
    write(tmp_path / name / "a.png", colour(i))
  images = data.load(f"folder:{tmp_path}")
  assert numbers(images.train_images) == [0, 1]
  assert images.train_labels.tolist() == [0, 1]
  by_number = dict(
    zip(numbers(images.test_images), images.test_labels, strict=True)
  )
  assert by_number == {2: 0, 3: 1} and images.num_classes == 2


def test_renamed_class_is_noticed(tmp_path: pathlib.Path):
  """Images under other class names have other labels."""
  for split in ("train", "test"):
    write(tmp_path / split / "a" / "x.png", colour(1))
    write(tmp_path / split / "b" / "x.png", colour(2))
  assert data.load(f"folder:{tmp_path}").train_labels.tolist() == [0, 1]
  for split in ("train", "test"):
    (tmp_path / split / "a").rename(tmp_path / split / "c")
  images = data.load(f"folder:{tmp_path}")
  assert numbers(images.train_images) == [2, 1]
  assert images.train_labels.tolist() == [0, 1]


def test_size_scales_and_crops_every_image(tmp_path: pathlib.Path):
  rng = np.random.default_rng(0)
  sizes = [(20, 16), (16, 16), (40, 90)]
  pictures = [
    Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)) for w, h in sizes
  ]
  for split in ("train", "test"):
    for i, picture in enumerate(pictures):
      write(tmp_path / split / f"{i}.png", picture)
  images = data.load(f"folder:{tmp_path}?size=16")
  for i, picture in enumerate(pictures):
    np.testing.assert_array_equal(
      images.train_images[i], np.asarray(decoding.square(picture, 16))
    )
  smaller = data.load(f"folder:{tmp_path}?size=8")
  assert smaller.image_shape == (8, 8, 3)


def expect(name: str | pathlib.Path, *parts: str) -> None:
  with pytest.raises(errors.UserError) as info:
    data.load(f"folder:{name}")
  message = str(info.value)
  for part in parts:
    assert part in message
  assert "\n" not in message and message.endswith((".", "`."))


def test_different_sizes_name_two_images(plain: pathlib.Path):
  write(plain / "0" / "odd.png", colour(1, (5, 4)))
  expect(plain, "00.png is 6x4", "odd.png is 5x4", "?size=4")


def test_broken_image_is_named(plain: pathlib.Path):
  content = (plain / "1" / "01.png").read_bytes()
  (plain / "1" / "01.png").write_bytes(content[:45])
  expect(plain, f"{plain}/1/01.png cannot be read as an image")
  (plain / "1" / "01.png").write_text("no image at all")
  expect(plain, f"{plain}/1/01.png cannot be read as an image")


def test_too_small_for_the_asked_size(plain: pathlib.Path):
  expect(f"{plain}?size=5", "00.png is 6x4, smaller than the asked size 5")


def test_size_that_is_no_number(plain: pathlib.Path):
  for size in ("", "x", "0", "-3", "1.5"):
    expect(f"{plain}?size={size}", f"The size {size!r}", "?size=32")


def test_no_such_folder(tmp_path: pathlib.Path):
  expect(tmp_path / "nowhere", "names no folder that exists", "folder:PATH")
  expect("", "names no folder that exists")
  with pytest.raises(errors.UserError, match="folder:PATH"):
    data.load("folder")


def test_too_few_images(tmp_path: pathlib.Path):
  expect(tmp_path, "There are 0 images", ".png")
  write(tmp_path / "a.png", colour(1))
  expect(tmp_path, "There are 1 images")
  write(tmp_path / "b.png", colour(2))
  images = data.load(f"folder:{tmp_path}")
  assert len(images.train_images) == len(images.test_images) == 1


def test_empty_split(tmp_path: pathlib.Path):
  write(tmp_path / "train" / "a.png", colour(1))
  (tmp_path / "test").mkdir()
  expect(tmp_path, f"There are no images in {tmp_path}/test")


def test_unknown_class_in_the_test_split(tmp_path: pathlib.Path):
  write(tmp_path / "train" / "ant" / "a.png", colour(1))
  write(tmp_path / "test" / "bee" / "b.png", colour(1))
  expect(tmp_path, "bee/b.png is of a class", "ant")


def test_home_is_expanded(plain: pathlib.Path, monkeypatch):
  monkeypatch.setenv("HOME", str(plain.parent))
  assert os.path.expanduser("~") == str(plain.parent)
  assert data.load(f"folder:~/{plain.name}").image_shape == (4, 6, 3)


def test_odd_arguments_are_refused():
  for argument in ("~nobody-has-this-name", "x?size=" + "9" * 5000):
    for name in (f"folder:{argument}", f"videos:{argument}&frames=9"):
      with pytest.raises(errors.UserError):
        data.load(name)

"""Decoding and resizing."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from pseudovideo import errors
from pseudovideo.data import decoding
from tests.files import child


def smooth(height: int, width: int) -> np.ndarray:
  """A picture with detail everywhere, but none finer than a few pixels."""
  rng = np.random.default_rng(1)
  y, x = np.mgrid[:height, :width]
  picture = np.zeros((height, width, 3))
  for channel in range(3):
    for _ in range(6):
      u, v, phase = rng.uniform(-0.4, 0.4, 3) * (1, 1, 10)
      picture[..., channel] += np.sin(u * y + v * x + phase)
  picture -= picture.min()
  return np.round(picture * 255 / picture.max()).astype(np.uint8)


def cubic(x: np.ndarray) -> np.ndarray:
  """Keys' cubic convolution kernel with a = -1/2."""
  x = np.abs(x)
  near = 1.5 * x**3 - 2.5 * x**2 + 1
  far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
  return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def cubic_matrix(new: int, old: int) -> np.ndarray:
  """Antialiased resampling of `old` samples to `new` <= old, float64."""
  centres = (np.arange(new)[:, None] + 0.5) * old / new
  weights = cubic((np.arange(old) + 0.5 - centres) * new / old)
  return weights / weights.sum(1, keepdims=True)


def reference_celeb_a(picture: np.ndarray) -> np.ndarray:
  """178x218 -> 89x109 -> 64x78 -> the middle 64x64, in float64."""
  halved = picture.astype(float).reshape(109, 2, 89, 2, 3).mean((1, 3))
  small = np.einsum(
    "ay,bx,yxc->abc", cubic_matrix(78, 109), cubic_matrix(64, 89), halved
  )
  return np.clip(small, 0, 255)[7:71]


def test_square_is_the_geometry_of_improved_diffusion():
  picture = smooth(218, 178)
  result = np.asarray(decoding.square(Image.fromarray(picture), 64))
  reference = reference_celeb_a(picture)
  assert result.shape == reference.shape == (64, 64, 3)
  assert np.abs(result - reference).max() <= 2  # Pillow rounds three times
  # One row off is far outside that tolerance.
  assert np.abs(result[1:] - reference[:-1]).max() > 10


def test_square_is_square():
  for wide, high, side in ((64, 64, 64), (300, 80, 16), (65, 64, 64)):
    image = Image.fromarray(smooth(high, wide))
    assert decoding.square(image, side).size == (side, side)


def test_square_keeps_an_image_of_that_size():
  picture = smooth(32, 32)
  np.testing.assert_array_equal(
    np.asarray(decoding.square(Image.fromarray(picture), 32)), picture
  )


def test_square_halves_an_image_of_twice_that_size():
  picture = smooth(32, 32)
  means = picture.reshape(16, 2, 16, 2, 3).mean((1, 3))
  result = np.asarray(decoding.square(Image.fromarray(picture), 16))
  assert np.abs(result - means).max() <= 1


def encoded(image: Image.Image, form: str = "PNG") -> io.BytesIO:
  buffer = io.BytesIO()
  image.save(buffer, form)
  buffer.seek(0)
  return buffer


def test_png_survives():
  picture = smooth(5, 9)
  with decoding.opened(encoded(Image.fromarray(picture)), "it") as image:
    array = decoding.to_array(image, 3, None)
  np.testing.assert_array_equal(array, picture)


def test_grey_gets_one_channel():
  picture = smooth(5, 9)[..., 0]
  with decoding.opened(encoded(Image.fromarray(picture)), "it") as image:
    array = decoding.to_array(image, 1, None)
  np.testing.assert_array_equal(array, picture[..., None])


def test_truncated_images_are_named():
  for form in ("PNG", "JPEG", "WEBP", "BMP"):
    content = encoded(Image.fromarray(smooth(64, 64)), form).getvalue()
    broken = io.BytesIO(content[: len(content) // 2])
    with (
      pytest.raises(errors.UserError, match=r"^a\.img cannot be read"),
      decoding.opened(broken, "a.img") as image,
    ):
      decoding.to_array(image, 3, None)


def test_decompression_bombs_are_refused(monkeypatch):
  bomb = encoded(Image.new("1", (300, 300)))
  monkeypatch.setattr(decoding, "MAX_PIXELS", 299 * 300)
  with (
    pytest.raises(errors.UserError, match="300x300, more than 89,700 pixels"),
    decoding.opened(bomb, "a.png"),
  ):
    pass


def test_bound_is_below_the_one_of_pillow():
  assert decoding.MAX_PIXELS < Image.MAX_IMAGE_PIXELS


def test_blocks_cover_everything_once():
  seen, lock = [], threading.Lock()

  def work(start: int, stop: int) -> None:
    with lock:
      seen.extend(range(start, stop))

  for total in (0, 1, decoding.BLOCK, 1000):
    seen.clear()
    decoding.in_blocks(work, total, "")
    assert sorted(seen) == list(range(total))


def test_first_error_is_raised():
  def work(start: int, stop: int) -> None:
    if start:
      raise errors.UserError(f"block {start}")

  with pytest.raises(errors.UserError, match=f"^block {decoding.BLOCK}$"):
    decoding.in_blocks(work, 10 * decoding.BLOCK, "")


def test_every_mode_becomes_colours(tmp_path):
  for mode in ("P", "RGBA", "PA", "LA", "CMYK", "1"):
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


def test_large_images_are_decoded_one_at_a_time(monkeypatch):
  """A computer of many cores would need a GB for each at once."""
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


def test_a_jpeg_of_many_scans(tmp_path):
  """Each is 100 bytes and costs as much as decoding the image."""
  path = tmp_path / "a.jpg"
  Image.new("L", (640, 640), 128).save(path, progressive=True)
  scans = path.read_bytes().split(b"\xff\xda")
  assert 5 <= len(scans) - 1 <= 20
  for times, good in ((50, True), (101, False)):
    more = [*scans[:2], *times * [scans[2]], *scans[2:]]
    path.write_bytes(b"\xff\xda".join(more))
    if good:
      child.open_image(str(path))
    else:
      with pytest.raises(errors.UserError, match=r"a JPEG of 10\d scans"):
        child.open_image(str(path))

import io

import numpy as np
import pytest
from PIL import Image

from pseudovideo.report import drawing


def noise(*shape: int) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def decode(data: bytes) -> np.ndarray:
  return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize(
  ("channels", "border", "scale"), [(1, 0, 1), (3, 1, 2), (1, 3, 5)]
)
def test_grid_holds_every_pixel_and_nothing_but_border(channels, border, scale):
  cells = noise(7, 4, 3, channels)
  picture = drawing.grid(cells, columns=3, border=border, scale=scale)
  high, wide = 4 * scale + border, 3 * scale + border
  assert picture.shape == (3 * high + border, 3 * wide + border, 3)
  left_over = np.ones(picture.shape[:2], bool)
  for i, cell in enumerate(cells):
    for y in range(4 * scale):
      for x in range(3 * scale):
        at = (i // 3 * high + border + y, i % 3 * wide + border + x)
        assert (picture[at] == cell[y // scale, x // scale]).all()
        left_over[at] = False
  assert (picture[left_over] == drawing.BORDER).all()


def test_grid_is_as_square_as_its_images_allow():
  for num in range(1, 40):
    picture = drawing.grid(noise(num, 2, 2, 1), border=0, scale=1)
    rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
    assert rows <= columns <= rows + 1
    assert (rows - 1) * columns < num <= rows * columns


def test_default_scale_makes_a_cell_48_pixels_or_a_little_more():
  for size, scale in ((8, 6), (28, 2), (32, 2), (47, 2), (48, 1), (64, 1)):
    picture = drawing.grid(noise(1, size, size, 1), border=0)
    assert picture.shape == (size * scale, size * scale, 3)


def test_film_strip_is_the_grid_with_a_marked_last_frame():
  videos = noise(2, 5, 4, 3, 3)
  border, scale = 2, 3
  strip = drawing.film_strip(videos, border=border, scale=scale)
  plain = drawing.grid(
    videos.reshape(10, 4, 3, 3), columns=5, border=border, scale=scale
  )
  high, wide = 4 * scale, 3 * scale
  marked = np.zeros(plain.shape[:2], bool)
  for row in range(2):
    top = row * (high + border)
    left = 4 * (wide + border)
    marked[top : top + high + 2 * border, left:] = True
    marked[top + border : top + border + high, left + border : -border] = False
  assert marked.any()
  assert (strip[marked] == drawing.ACCENT).all()
  np.testing.assert_array_equal(strip[~marked], plain[~marked])


def test_film_strip_without_border_has_only_frames():
  videos = noise(2, 3, 4, 4, 1)
  strip = drawing.film_strip(videos, border=0, scale=1)
  frames = videos[..., 0].transpose(0, 2, 1, 3).reshape(8, 12)
  np.testing.assert_array_equal(strip, np.stack([frames] * 3, -1))


def test_png_is_lossless_and_overwrites_in_place(tmp_path):
  path = tmp_path / "new" / "folder" / "grid.png"
  for image in (noise(5, 7, 1), noise(9, 4, 3)):
    drawing.save_png(path, image)
    stored = decode(path.read_bytes())
    np.testing.assert_array_equal(stored, drawing.to_rgb(image))
    assert [p.name for p in path.parent.iterdir()] == ["grid.png"]


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: drawing.grid(noise(2, 4, 4, 3) / 255), "uint8"),
    (lambda: drawing.grid(noise(2, 4, 4, 2)), "channels"),
    (lambda: drawing.grid(noise(4, 4, 3)), "N, H, W, C"),
    (lambda: drawing.grid(noise(0, 4, 4, 3)), "N >= 1"),
    (lambda: drawing.film_strip(noise(2, 4, 4, 3)), "N, T, H, W, C"),
  ],
)
def test_what_is_not_a_picture_is_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()

"""Images made upright, opaque and 8 bits deep, against Pillow and by hand."""

import io
import pathlib
import struct

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageOps

from pseudovideo import data
from pseudovideo.data import clips, decoding, plain
from tests.files import hostile_images

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (8, 12, 3), np.uint8)
# Quarter 0 is transparent, 1 half, 2 and 3 opaque.
ALPHA = np.repeat(np.repeat(np.uint8([[0, 128], [255, 255]]), 4, 0), 6, 1)


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def read(path: pathlib.Path, channels: int = 3, background=plain.WHITE):
  with decoding.opened(path, str(path)) as image:
    size = plain.size(image)
    array = decoding.to_array(image, channels, None, background)
  assert array.shape == (size[1], size[0], channels)
  return array


# --- orientation ---


def exif_of(orientation: int) -> Image.Exif:
  exif = Image.Exif()
  exif[plain.ORIENTATION] = orientation
  return exif


def late_chunk(content: bytes) -> bytes:
  """The PNG with its EXIF chunk moved behind the pixels."""
  place = content.index(b"eXIf") - 4
  length = 12 + int.from_bytes(content[place : place + 4], "big")
  chunk = content[place : place + length]
  return content[:place] + content[place + length : -12] + chunk + content[-12:]


@pytest.mark.parametrize("form", ["jpg", "png", "late.png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: pathlib.Path, orientation: int, form: str):
  path = tmp_path / f"a.{form}"
  options = {"lossless": True} if form == "webp" else {}
  image = Image.fromarray(PICTURE)
  image.save(path, exif=exif_of(orientation), **options)
  if form == "late.png":
    path.write_bytes(late_chunk(path.read_bytes()))
  with Image.open(path) as image:
    expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
  np.testing.assert_array_equal(read(path), expected)


def test_sizes_are_those_of_upright_images(tmp_path: pathlib.Path):
  """A folder of photos, some of which were taken with the camera turned."""
  for i, orientation in enumerate((1, 3, 6, 8)):
    image = Image.fromarray(PICTURE)
    if orientation > 4:
      image = image.transpose(Image.Transpose.TRANSPOSE)
    image.save(tmp_path / f"{i}.png", exif=exif_of(orientation))
  assert data.load(f"folder:{tmp_path}").image_shape == (8, 12, 3)
  assert len(clips.load(tmp_path, clips.Cut(4, 8)).clips) == 1


@pytest.mark.parametrize(
  "content",
  [
    b"",
    b"Exif\0\0",
    b"Exif\0\0II*\0",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0MM\0*\0\0\0\x08\0\xff" + b"\x01\x12\0\x03\0\0\0\x01\0\x09",
    b"Exif\0\0XX*\0\x08\0\0\0" + bytes(50),
    b"Exif\0\0" + exif_of(0).tobytes()[6:],
    b"Exif\0\0" + exif_of(77).tobytes()[6:],
    exif_of(6).tobytes()[:-6],
    RNG.bytes(100),
    b"Exif\0\0II*\0\x08\0\0\0" + RNG.bytes(100),
  ],
)
@pytest.mark.filterwarnings("ignore:.*EXIF")
def test_broken_exif_data(tmp_path: pathlib.Path, content: bytes):
  for form in ("jpg", "png", "webp"):
    path = tmp_path / f"a.{form}"
    Image.fromarray(PICTURE).save(path, exif=content)
    assert read(path).shape == PICTURE.shape


# --- transparency ---


def composited(image: Image.Image, background: plain.Colour) -> np.ndarray:
  rgba = image.convert("RGBA")
  base = Image.new("RGBA", rgba.size, background)
  return np.asarray(Image.alpha_composite(base, rgba).convert("RGB"))


def with_alpha() -> Image.Image:
  return Image.fromarray(np.dstack([PICTURE, ALPHA]))


def palette(**options) -> Image.Image:
  image = Image.fromarray(PICTURE).quantize(8)
  image.info.update(options)
  return image


TRANSPARENT = {
  "rgba.png": with_alpha(),
  "rgba.webp": with_alpha(),
  "rgba.tif": with_alpha(),
  "la.png": with_alpha().convert("LA"),
  "pa.tif": with_alpha().convert("LA"),
  "index.png": palette(transparency=2),
  "bytes.png": palette(transparency=bytes([0, 100, 255, 7])),
  "index.gif": palette(transparency=2),
}
BACKGROUNDS = ("white", "black", "#12c832")


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency(tmp_path: pathlib.Path, name: str, background: str):
  path = tmp_path / name
  image = TRANSPARENT[name]
  image.save(path, **({"lossless": True} if "webp" in name else {}))
  colour = ImageColor.getrgb(background)
  with Image.open(path) as image:
    assert image.has_transparency_data
    expected = composited(image, colour)
  np.testing.assert_array_equal(read(path, background=colour), expected)


def test_a_large_image_is_composited_in_strips(monkeypatch):
  monkeypatch.setattr(plain, "STRIP", 25)
  for image in (with_alpha(), palette(transparency=2)):
    found = plain.to_plain(image, 3, (9, 9, 9))
    np.testing.assert_array_equal(found, composited(image, (9, 9, 9)))


def test_orientation_and_transparency(tmp_path: pathlib.Path):
  with_alpha().save(tmp_path / "a.png", exif=exif_of(6))
  expected = np.rot90(composited(with_alpha(), plain.WHITE), -1)
  np.testing.assert_array_equal(read(tmp_path / "a.png"), expected)


def key_png(depth: int, kind: int, pixels: bytes, key: bytes, width: int):
  """A PNG of one row, with a transparent colour."""
  head = struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0)
  content = hostile_images.png(
    width, 1, (b"IHDR", head), (b"tRNS", key), data=b"\0" + pixels
  )
  first = content.index(b"IHDR") - 4
  return content[:first] + content[first + 25 :]


NINES = struct.pack(">3H", 9, 9, 999)


@pytest.mark.parametrize(
  ("depth", "kind", "pixels", "key"),
  [
    (1, 0, bytes([0b01000000]), struct.pack(">H", 1)),
    (2, 0, bytes([0b00100000]), struct.pack(">H", 2)),
    (4, 0, bytes([0x2A]), struct.pack(">H", 10)),
    (8, 0, bytes([1, 200]), struct.pack(">H", 200)),
    (16, 0, struct.pack(">2H", 1, 300), struct.pack(">H", 300)),
    (8, 2, bytes([1, 1, 1, 4, 5, 6]), struct.pack(">3H", 4, 5, 6)),
    (16, 2, bytes(6) + NINES, NINES),
  ],
)  # fmt: skip
def test_transparent_colours(tmp_path, depth, kind, pixels, key):
  """The second pixel has the colour that is declared transparent."""
  path = tmp_path / "a.png"
  path.write_bytes(key_png(depth, kind, pixels, key, 2))
  found = read(path, background=(7, 8, 9))
  assert found[0, 1].tolist() == [7, 8, 9]
  assert found[0, 0].tolist() != [7, 8, 9] and found[0, 0].max() < 90


# --- depths and modes ---


@pytest.mark.parametrize("form", ["png", "tif"])
def test_16_bits(tmp_path: pathlib.Path, form: str):
  deep = RNG.integers(0, 2**16, (8, 12), np.uint16)
  Image.fromarray(deep).save(tmp_path / f"a.{form}")
  expected = np.rint(deep / 257)
  for channels in (1, 3):
    found = read(tmp_path / f"a.{form}", channels)
    assert np.abs(found - expected[..., None]).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB"])
def test_modes(tmp_path: pathlib.Path, mode: str):
  path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.tif")
  image = Image.fromarray(PICTURE)
  if mode == "LAB":
    image = Image.frombytes("LAB", image.size, image.tobytes())
  image.convert(mode).save(path)
  with Image.open(path) as image:
    expected = np.asarray(image.convert("RGB"))
  np.testing.assert_array_equal(read(path), expected)


def test_floats_are_refused(tmp_path: pathlib.Path):
  Image.fromarray(np.float32(PICTURE[..., 0])).save(tmp_path / "a.tif")
  with pytest.raises(ValueError, match=r"more than 16 bits"):
    read(tmp_path / "a.tif")


GREY = Image.fromarray(PICTURE[..., 0])
SHADES = {
  "l.png": (GREY, True, True),
  "1.png": (GREY.convert("1"), True, True),
  "la.png": (with_alpha().convert("LA"), True, False),
  "p.png": (GREY.convert("P"), True, True),
  "p.bmp": (GREY.convert("P"), True, True),
  "p.gif": (GREY.quantize(4), True, True),
  "deep.png": (Image.fromarray(PICTURE[..., 0].astype(np.uint16)), True, True),
  "rgb.png": (Image.fromarray(PICTURE), False, False),
  "colours.gif": (palette(), False, False),
}


@pytest.mark.parametrize("name", SHADES)
def test_grey(tmp_path: pathlib.Path, name: str):
  """Grey on white, and on red where something is transparent."""
  image, *expected = SHADES[name]
  image.save(tmp_path / name)
  with decoding.opened(tmp_path / name, name) as image:
    found = [plain.is_grey(image, (255, g, g)) for g in (255, 0)]
  assert found == expected


def test_the_background_of_a_set(tmp_path: pathlib.Path):
  for i in range(2):
    with_alpha().save(tmp_path / f"{i}.png")
  for background in BACKGROUNDS:
    found = data.load(f"folder:{tmp_path}", background=background)
    expected = composited(with_alpha(), ImageColor.getrgb(background))
    np.testing.assert_array_equal(found.train_images[0], expected)


def test_a_frame_within_a_gif(tmp_path: pathlib.Path):
  """Transparent in every frame, on the background in each."""
  first = palette(transparency=2)
  first.save(
    tmp_path / "a.gif", save_all=True, append_images=[first.rotate(180)],
    disposal=2,
  )  # fmt: skip
  (tmp_path / "b.gif").write_bytes((tmp_path / "a.gif").read_bytes())
  found = data.load(
    f"videos:{tmp_path}?size=8&frames=2", background="#010203"
  ).train_images[0]
  with Image.open(tmp_path / "a.gif") as image:
    for frame in (0, 1):
      image.seek(frame)
      expected = composited(image, (1, 2, 3))[:, 2:10]
      np.testing.assert_array_equal(found[frame], expected)


def test_an_image_in_memory():
  """As the sets of TFDS have them."""
  buffer = io.BytesIO()
  Image.fromarray(PICTURE).save(buffer, "PNG", exif=exif_of(3))
  with decoding.opened(buffer, "it") as image:
    assert plain.size(image) == (12, 8)
    array = decoding.to_array(image, 3, None)
  np.testing.assert_array_equal(array, PICTURE[::-1, ::-1])

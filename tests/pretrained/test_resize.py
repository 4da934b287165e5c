import jax
import numpy as np
import PIL.Image
import pytest

from pseudovideo import errors
from pseudovideo.pretrained import resize

# A dozen roundings by 6e-8 of numbers up to 255, which are divided by 128.
CLOSE = 1.5e-6
# Sizes of images, and the side that they get.
SIZES = [((32, 32), 75), ((64, 45), 40), ((1, 7), 40)]
SIDE = 299


def random_images(height, width, num=1, channels=3):
  rng = np.random.default_rng(height)
  shape = (num, height, width, channels)
  return rng.integers(0, 256, shape, dtype=np.uint8)


def pixel_by_pixel(image, side, source):
  """Bilinear in float64; `source` says where an output pixel reads."""
  height, width, channels = image.shape
  image = np.float64(image)
  out = np.empty((side, side, channels))
  for i in range(side):
    y = min(max(source(i, height, side), 0), height - 1)
    top, bottom = int(y), min(int(y) + 1, height - 1)
    for j in range(side):
      x = min(max(source(j, width, side), 0), width - 1)
      left, right = int(x), min(int(x) + 1, width - 1)
      above = image[top, left] + (x - left) * (
        image[top, right] - image[top, left]
      )
      below = image[bottom, left] + (x - left) * (
        image[bottom, right] - image[bottom, left]
      )
      out[i, j] = above + (y - top) * (below - above)
  return out


def resized(name, images, side=SIDE):
  preset = resize.RESIZES[name]
  return np.asarray(jax.jit(preset, static_argnums=1)(images, side))


@pytest.mark.parametrize(("size", "side"), SIZES)
def test_tf1(size, side):
  images = random_images(*size)
  expected = pixel_by_pixel(images[0], side, lambda i, n, out: i * n / out)
  found = resized("tf1", images, side)[0]
  np.testing.assert_allclose(found, (expected - 128) / 128, atol=CLOSE)


@pytest.mark.parametrize(("size", "side"), SIZES)
def test_pytorch_fid(size, side):
  images = random_images(*size)
  expected = pixel_by_pixel(
    images[0], side, lambda i, n, out: (i + 0.5) * n / out - 0.5
  )
  found = resized("pytorch_fid", images, side)[0]
  np.testing.assert_allclose(found, 2 * (expected / 255) - 1, atol=CLOSE)


@pytest.mark.parametrize(
  ("name", "kernel"),
  [
    ("clean", PIL.Image.Resampling.BICUBIC),
    ("torchmetrics", PIL.Image.Resampling.BILINEAR),
  ],
)
@pytest.mark.parametrize("size", [(32, 32), (350, 620), (300, 20), (1, 7)])
def test_pillow_on_floats(name, kernel, size):
  images = random_images(*size)
  planes = [
    PIL.Image.fromarray(np.float32(images[0, ..., c])).resize(
      (SIDE, SIDE), kernel
    )
    for c in range(3)
  ]
  assert planes[0].mode == "F"
  expected = np.clip(np.stack([np.asarray(p) for p in planes], -1), 0, 255)
  found = resized(name, images)[0]
  np.testing.assert_allclose(found, (expected - 128) / 128, atol=3e-6)


@pytest.mark.parametrize(("size", "side"), [*SIZES, ((350, 620), SIDE)])
def test_torchmetrics(size, side):
  """In float64, as the weights of torch's float32 are off by up to 1e-5."""
  torch = pytest.importorskip("torch")
  images = random_images(*size)
  expected = torch.nn.functional.interpolate(
    torch.from_numpy(images).permute(0, 3, 1, 2).double(),
    size=(side, side),
    mode="bilinear",
    align_corners=False,
    antialias=True,
  )
  expected = ((expected - 128) / 128).permute(0, 2, 3, 1).numpy()
  found = resized("torchmetrics", images, side)
  np.testing.assert_allclose(found, expected, atol=CLOSE)


@pytest.mark.parametrize("name", resize.RESIZES)
def test_images_of_the_right_size_are_only_scaled(name):
  images = random_images(SIDE, SIDE)
  low, high = resize.RESIZES[name].value_range
  expected = low + images / 255 * (high - low)
  np.testing.assert_allclose(resized(name, images), expected, atol=1e-6)


def test_value_ranges():
  assert resize.RESIZES["tf1"].value_range == (-1, 127 / 128)
  assert resize.RESIZES["pytorch_fid"].value_range == (-1, 1)


@pytest.mark.parametrize("name", resize.RESIZES)
def test_bright_edges_stay_in_range(name):
  images = np.zeros((1, 16, 16, 1), np.uint8)
  images[:, 4:12, 4:12] = 255
  low, high = resize.RESIZES[name].value_range
  found = resized(name, images)
  assert (found.min(), found.max()) == pytest.approx((low, high))


@pytest.mark.parametrize("name", resize.RESIZES)
def test_grey_is_three_equal_channels(name):
  grey = random_images(20, 30, num=2, channels=1)
  found = resized(name, grey)
  assert found.shape == (2, SIDE, SIDE, 3)
  np.testing.assert_array_equal(found, found[..., :1].repeat(3, -1))
  # Of another program; bicubic weights are applied to more pixels.
  repeated = resized(name, grey.repeat(3, -1))
  np.testing.assert_allclose(found, repeated, atol=2 * CLOSE)


@pytest.mark.parametrize("rule", resize.RULES)
def test_constants_stay_constant(rule):
  for size, out in [(5, 224), (224, 5), (17, 16), (1, 9), (9, 1)]:
    weights = resize.matrix(rule, size, out)
    assert weights.shape == (out, size) and weights.dtype == np.float64
    # A sum of up to 180 numbers in float64.
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-13)


def test_mistakes():
  with pytest.raises(errors.UserError, match="did you mean 'bilinear'"):
    resize.matrix("bilinera", 3, 4)
  preset = resize.RESIZES["tf1"]
  with pytest.raises(ValueError, match=r"float32 \(1, 4, 4, 3\)"):
    preset(np.zeros((1, 4, 4, 3), np.float32), 8)
  with pytest.raises(ValueError, match=r"\(1, 4, 4, 2\)"):
    preset(np.zeros((1, 4, 4, 2), np.uint8), 8)

"""Radial power spectra against closed forms and a transform by hand."""

import numpy as np
import pytest

from pseudovideo.metrics import spectrum
from tests.metrics import pixel_network


def power_by_hand(images):
  """Matrices of exponentials, and a loop over all frequencies."""
  num, height, width, channels = images.shape
  short = min(height, width)
  rows, columns = (
    np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)
    for n in (height, width)
  )
  planes = np.moveaxis(images, 3, 1) / 255
  powers = np.abs(rows @ planes @ columns) ** 2 / (height * width)
  mean = powers.sum((0, 1)) / (num * channels)
  rings = [[] for _ in range(short + 1)]
  for i in range(height):
    for j in range(width):
      y = min(i, height - i) / height
      x = min(j, width - j) / width
      rings[round(short * np.sqrt(y * y + x * x))].append(mean[i, j])
  return np.array([np.mean(ring) for ring in rings[1 : short // 2 + 1]])


@pytest.mark.parametrize(
  "shape", [(8, 8, 1), (7, 7, 3), (6, 9, 3), (5, 4, 1), (2, 11, 1), (16, 2, 3)]
)
def test_power_by_hand(shape):
  images = pixel_network.images(3, shape=shape)
  found = spectrum.power([images])
  assert found.dtype == np.float64 and len(found) == min(shape[:2]) // 2
  np.testing.assert_allclose(found, power_by_hand(images), rtol=1e-12)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("cycles", [1, 2, 3, 8])
def test_a_cosine_is_in_one_ring(cycles, axis):
  """Four pixels per cycle: its values are exact in 8 bits."""
  side = 4 * cycles
  wave = np.uint8(128 + 100 * np.array([1, 0, -1, 0] * cycles))
  shape = [1, 1, 1, 1]
  shape[axis] = side
  images = np.broadcast_to(wave.reshape(shape), (2, side, side, 3))
  found = spectrum.power([images])
  assert found.argmax() == cycles - 1
  np.testing.assert_allclose(np.delete(found, cycles - 1), 0, atol=1e-20)


@pytest.mark.parametrize("side", [12, 13])
def test_parseval(side):
  """Images that vary along one axis have no power beyond the last ring."""
  lines = pixel_network.images(4, shape=(1, side, 1))
  images = np.broadcast_to(lines, (4, side, side, 1))
  frequencies = np.fft.fftfreq(side, 1 / side)
  radius = np.rint(np.hypot(frequencies[:, None], frequencies))
  counts = [(radius == ring).sum() for ring in range(1, side // 2 + 1)]
  pixels = images / 255
  centred = pixels - pixels.mean((1, 2), keepdims=True)
  energy = np.square(centred).sum() / len(images)
  assert counts @ spectrum.power([images]) == pytest.approx(energy, rel=1e-12)


def test_white_noise_has_its_variance_in_every_ring():
  """The mean of n independent powers of noise is off by 1 / sqrt(n)."""
  # A ring has four or more of each of 3,000 planes.
  images = pixel_network.images(1000, shape=(8, 8, 3))
  variance = (256**2 - 1) / 12 / 255**2
  found = spectrum.power([images])
  np.testing.assert_allclose(found, variance, rtol=4 / np.sqrt(4 * 3000))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_scaled_noise(factor):
  images = pixel_network.images(20, shape=(16, 12, 3)) // 4
  powers = [spectrum.power([some]) for some in (images, factor * images)]
  expected = pytest.approx(20 * np.log10(factor), rel=1e-12)
  assert spectrum.distance(*powers) == expected
  assert spectrum.distance(*powers[::-1]) == expected


def test_the_root_of_the_mean_square_over_rings():
  first = np.array([1.0, 1.0, 1.0, 1.0])
  second = np.array([10.0, 0.1, 1.0, 100.0])
  expected = np.sqrt((10**2 + 10**2 + 0 + 20**2) / 4)
  assert spectrum.distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_constants_have_the_power_of_rounding():
  flat = [np.full((2, 8, 8, 1), grey, np.uint8) for grey in (0, 77, 255)]
  powers = [spectrum.power([some]) for some in flat]
  assert spectrum.distance(powers[0], powers[1]) == 0
  assert spectrum.distance(powers[2], powers[1]) == 0
  bright = np.ones(4)
  expected = 10 * np.log10(12 * 255**2)
  assert spectrum.distance(bright, powers[1]) == pytest.approx(expected)


def test_neither_blocks_nor_their_order_matter(monkeypatch):
  images = pixel_network.images(40, shape=(9, 10, 3))
  whole = spectrum.power([images])
  monkeypatch.setattr(spectrum, "_BLOCK", 3 * images[0].size)
  for blocks in (np.split(images, [1, 2, 30]), [images[::-1]]):
    np.testing.assert_allclose(spectrum.power(blocks), whole, rtol=1e-12)

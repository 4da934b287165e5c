"""Convolution is multiplication by a Toeplitz matrix.

In two dimensions, by a block Toeplitz matrix of Toeplitz blocks. With padding
that wraps around it is circulant, and the DFT diagonalises it: the convolution
theorem. As everywhere in neural networks, convolution is cross-correlation.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg, ndimage

from pseudovideo.models import layers


def toeplitz(taps, size):
  """Row i has the middle tap in column i; zeros lie behind both ends."""
  middle = len(taps) // 2
  column, row = np.zeros((2, size))
  column[: middle + 1] = taps[middle::-1]
  row[: len(taps) - middle] = taps[middle:]
  return linalg.toeplitz(column, row)


def circulant(taps, size):
  """A matrix like `toeplitz`, but whose rows wrap around."""
  column = np.zeros(size)
  column[(len(taps) // 2 - np.arange(len(taps))) % size] = taps
  return linalg.circulant(column)


def of_image(line, kernel, height, width):
  """`line` of blocks, each of which is `line` of a row of the kernel."""
  places = np.eye(len(kernel))
  return sum(
    np.kron(line(place, height), line(taps, width))
    for place, taps in zip(places, kernel, strict=True)
  )


def matrix(line, kernel, shape):
  """Builds the matrix of a kernel with one or two axes."""
  make = line if len(shape) == 1 else lambda *args: of_image(line, *args)
  return make(kernel, *shape)


def drawn(rng, shape, taps):
  """An array of two channels, and kernels from these to three."""
  return rng.normal(size=(*shape, 2)), rng.normal(size=(*taps, 2, 3))


@pytest.mark.parametrize("shape, taps", [((9,), (5,)), ((5, 6), (3, 3))])
@pytest.mark.parametrize(
  "line, padding, mode",
  [(toeplitz, "SAME", "constant"), (circulant, "CIRCULAR", "wrap")],
)
def test_convolution_is_a_product(line, padding, mode, shape, taps):
  x, kernel = drawn(np.random.default_rng(0), shape, taps)
  found = np.zeros((*shape, 3))
  for i, o in np.ndindex(2, 3):
    product = matrix(line, kernel[..., i, o], shape) @ x[..., i].ravel()
    expected = ndimage.correlate(x[..., i], kernel[..., i, o], mode=mode)
    np.testing.assert_allclose(product, expected.ravel(), atol=1e-12)
    found[..., o] += product.reshape(shape)
  with jax.enable_x64(True):
    network = nn.Conv(3, taps, padding=padding, use_bias=False)
    out = network.apply({"params": {"kernel": kernel}}, jnp.asarray(x)[None])
  assert out.dtype == np.float64
  np.testing.assert_allclose(out[0], found, atol=1e-12)


def test_the_convolution_of_the_networks_of_images_is_one():
  """With a bias, and zeros around the image."""
  rng = np.random.default_rng(0)
  x, kernel = drawn(rng, (5, 6), (3, 3))
  params = {"kernel": kernel, "bias": rng.normal(size=3)}
  with jax.enable_x64(True):
    network = layers.conv(3, 2, name="conv", dtype=jnp.float64)
    out = network.apply({"params": params}, jnp.asarray(x)[None])[0]
  for o in range(3):
    expected = params["bias"][o] + sum(
      of_image(toeplitz, kernel[..., i, o], 5, 6) @ x[..., i].ravel()
      for i in range(2)
    )
    np.testing.assert_allclose(out[..., o].ravel(), expected, atol=1e-12)


def test_blocks_and_what_they_hold_depend_on_differences_only():
  rng = np.random.default_rng(0)
  found = of_image(toeplitz, rng.normal(size=(3, 5)), 4, 6)
  blocks = found.reshape(4, 6, 4, 6)
  np.testing.assert_array_equal(blocks[1:, :, 1:], blocks[:-1, :, :-1])
  np.testing.assert_array_equal(blocks[:, 1:, :, 1:], blocks[:, :-1, :, :-1])
  assert not blocks[0, :, 2:].any(), "three rows of the kernel"


@pytest.mark.parametrize("shape, taps", [((9,), (5,)), ((5, 6), (3, 3))])
def test_the_dft_diagonalises_a_circulant(shape, taps):
  """The eigenvalues are the DFT of its first column, an impulse's response."""
  rng = np.random.default_rng(0)
  circular = matrix(circulant, rng.normal(size=taps), shape)
  dft = linalg.dft(shape[0])
  for size in shape[1:]:
    dft = np.kron(dft, linalg.dft(size))
  spectrum = np.fft.fftn(circular[:, 0].reshape(shape))
  diagonal = dft @ circular @ np.linalg.inv(dft)
  np.testing.assert_allclose(diagonal, np.diag(spectrum.ravel()), atol=1e-12)
  # So a product of spectra is a convolution.
  x = rng.normal(size=shape)
  product = np.fft.ifftn(spectrum * np.fft.fftn(x))
  np.testing.assert_allclose(product.ravel(), circular @ x.ravel(), atol=1e-12)
  # Zeros at the ends are not diagonalised.
  zeros = matrix(toeplitz, rng.normal(size=taps), shape)
  other = dft @ zeros @ np.linalg.inv(dft)
  assert np.abs(other - np.diag(np.diag(other))).max() > 0.1

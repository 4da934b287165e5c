"""The heat operator against SciPy's transform, in float64."""

import jax
import numpy as np
import pytest
import scipy.fft
import scipy.linalg

from pseudovideo import augmentations
from pseudovideo.augmentations import heat
from tests import rounding


@pytest.fixture
def images():
  return np.random.default_rng(0).uniform(0, 1, (3, 12, 9, 2)).astype("f4")


def reference(images, sigma):
  _, height, width, _ = images.shape
  n, m = np.arange(height)[:, None], np.arange(width)[None, :]
  eigenvalues = (np.pi * n / height) ** 2 + (np.pi * m / width) ** 2
  decay = np.exp(-eigenvalues * sigma**2 / 2)[:, :, None]
  coefficients = scipy.fft.dctn(np.float64(images), axes=(1, 2), norm="ortho")
  return scipy.fft.idctn(coefficients * decay, axes=(1, 2), norm="ortho")


def test_dct_matrix_is_the_orthonormal_dct():
  for size in (1, 2, 7, 32):
    matrix = heat.dct_matrix(size)
    np.testing.assert_allclose(
      matrix, scipy.fft.dct(np.eye(size), axis=0, norm="ortho"), atol=1e-14
    )
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-13)


def test_frequencies_are_the_dct_and_invert(images):
  frequencies = heat.to_frequencies(images)
  np.testing.assert_allclose(
    frequencies,
    scipy.fft.dctn(np.float64(images), axes=(1, 2), norm="ortho"),
    atol=rounding.bound(12 + 9, 6.0),
  )
  np.testing.assert_allclose(
    heat.from_frequencies(frequencies),
    images,
    atol=rounding.bound(2 * (12 + 9)),
  )


def test_a_level_per_image(images):
  sigmas = np.array([0.0, 0.7, 5.0])
  blurred = jax.jit(heat.heat_blur)(images, sigmas)
  expected = [
    reference(image[None], s)[0]
    for image, s in zip(images, sigmas, strict=True)
  ]
  np.testing.assert_allclose(blurred, expected, atol=2e-6)
  np.testing.assert_allclose(
    heat.heat_blur(images, 0.7)[1], expected[1], atol=2e-6
  )


def test_semigroup(images):
  """Blurs of 1.5 and 2 pixels one after another are one of 2.5 pixels."""
  twice = heat.heat_blur(heat.heat_blur(images, 1.5), 2.0)
  np.testing.assert_allclose(twice, heat.heat_blur(images, 2.5), atol=2e-6)


def test_it_solves_the_heat_equation():
  """Against the exponential of a spectral Laplacian matrix of one axis.

  The second derivative of the cosine interpolant is taken on a signal of one
  axis, by an independent route: the even extension and its Fourier series.
  """
  size, sigma = 10, 1.3
  extended = np.concatenate([np.eye(size), np.eye(size)[::-1]])
  frequency = 2 * np.pi * np.fft.fftfreq(2 * size)[:, None]
  second = np.fft.ifft(-(frequency**2) * np.fft.fft(extended, axis=0), axis=0)
  operator = scipy.linalg.expm(sigma**2 / 2 * second.real[:size])
  np.testing.assert_allclose(
    heat.heat_matrices(size, (sigma,))[0], operator, atol=1e-12
  )


def test_video_is_the_operator_at_log_spaced_levels(images):
  fields = {"frames": 6, "sigma_min": 0.5, "sigma_max": 8.0}
  video = augmentations.make("heat", **fields)(images)
  levels = np.geomspace(8.0, 0.5, 5)
  for frame, sigma in enumerate(levels):
    np.testing.assert_allclose(
      video[:, frame], reference(images, sigma), atol=1e-5
    )
    np.testing.assert_allclose(
      video[:, frame], heat.heat_blur(images, sigma), atol=2e-6
    )


def test_means_are_kept(images):
  video = augmentations.make("heat", frames=18)(images)
  means = np.float64(video).mean((2, 3))
  drift = means - np.float64(images).mean((1, 2))[:, None]
  np.testing.assert_allclose(drift, 0, atol=1e-6)


def test_eighteen_levels_of_the_reference_schedule():
  expected = [0, 0.5, 0.6212, 0.7717, 0.9587, 1.1910, 1.4797, 1.8382, 2.2837]
  expected += [2.8371, 3.5247, 4.3788, 5.4400, 6.7583, 8.3960, 10.4307]
  expected += [12.9584, 16.0987, 20]
  np.testing.assert_allclose(
    heat.blur_sigmas(18, 0.5, 20), expected, atol=5.1e-5
  )


def test_small_blurs_overshoot_and_are_not_clipped():
  step = np.zeros((1, 28, 28, 1), np.float32)
  step[:, :, 14:] = 1
  blurred = heat.heat_blur(step, 0.5)
  assert blurred.min() < -0.01
  assert blurred.max() > 1.01

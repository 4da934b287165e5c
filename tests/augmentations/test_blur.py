"""The blurs against SciPy's convolution, in float64."""

import numpy as np
import pytest
import scipy.ndimage

from pseudovideo import augmentations
from pseudovideo.augmentations import blur
from pseudovideo.errors import UserError

# SciPy calls the edge that is not repeated "mirror".
MODES = {"reflect": "mirror", "circular": "wrap"}


@pytest.fixture
def images():
  return np.random.default_rng(1).uniform(-1, 1, (2, 16, 11, 3)).astype("f4")


def kernel(std):
  grid = np.arange(-5, 6)
  taps = np.exp(-(grid[:, None] ** 2 + grid[None, :] ** 2) / (2 * std**2))
  return (taps / taps.sum())[None, :, :, None]


def reference(images, stds, mode, high_order=False):
  """The video by 2-D convolutions, one frame after another."""
  frames = [np.float64(images)]
  for std in stds:
    source = np.mean(frames, 0) if high_order else frames[-1]
    frames.append(scipy.ndimage.convolve(source, kernel(std), mode=mode))
  return np.stack(frames[::-1], 1)


@pytest.mark.parametrize(
  ("padding", "frames", "rate"), [("reflect", 8, 0.05), ("circular", 18, 0.01)]
)
def test_recursive_blur_is_scipys(images, padding, frames, rate):
  video = augmentations.make("blur", frames=frames, padding=padding)(images)
  stds = [np.exp(rate * i) for i in range(frames - 1)]
  np.testing.assert_allclose(
    video, reference(images, stds, MODES[padding]), atol=1e-6
  )


@pytest.mark.parametrize(
  ("padding", "frames"), [("reflect", 8), ("circular", 4)]
)
def test_high_order_blur_is_scipys(images, padding, frames):
  make = augmentations.make
  video = make("high_order_blur", frames=frames, padding=padding)(images)
  stds = [np.exp(0.05 * i) for i in range(frames - 1)]
  expected = reference(images, stds, MODES[padding], high_order=True)
  np.testing.assert_allclose(video, expected, atol=1e-6)


def test_first_blur_is_the_same_in_both(images):
  recursive = augmentations.make("blur")(images)
  high_order = augmentations.make("high_order_blur")(images)
  np.testing.assert_allclose(recursive[:, -2], high_order[:, -2], atol=1e-6)
  assert np.abs(recursive[:, -3] - high_order[:, -3]).max() > 0.05


@pytest.mark.parametrize("padding", MODES)
def test_constant_images_stay(padding):
  stds = blur.kernel_stds(18, 0.01)
  for side in (6, 8, 32):
    matrices = blur.cumulative_matrices(side, stds, padding)
    np.testing.assert_allclose(matrices.sum(2), 1, atol=1e-13)


def test_circular_keeps_means_and_commutes_with_shifts(images):
  augmentation = augmentations.make("blur", padding="circular")
  video = augmentation(images)
  means = np.float64(video).mean((2, 3))
  drift = means - np.float64(images).mean((1, 2))[:, None]
  np.testing.assert_allclose(drift, 0, atol=1e-6)
  shifted = augmentation(np.roll(images, (3, 4), (1, 2)))
  np.testing.assert_allclose(shifted, np.roll(video, (3, 4), (2, 3)), atol=1e-6)


@pytest.mark.parametrize(
  ("frames", "rate", "expected"),
  [
    (8, 0.05, "1 1.4509 1.8239 2.1625 2.4836 2.7959 3.1047"),
    (
      18,
      0.01,
      "1 1.4213 1.7496 2.0305 2.2817 2.5122 2.7274 2.9307 3.1245 3.3106 "
      "3.4902 3.6643 3.8339 3.9994 4.1616 4.3207 4.4772",
    ),
  ],
)
def test_standard_deviations_add_up_in_squares(frames, rate, expected):
  """Moments of the impulse response, measured far from any edge.

  The eleven taps cut a kernel's tails, which costs less than 0.0045 pixels.
  """
  stds = blur.kernel_stds(frames, rate)
  expected = np.array(expected.split(), float)
  np.testing.assert_allclose(
    np.sqrt(np.cumsum(np.square(stds))), expected, atol=5.1e-5
  )
  matrices = blur.cumulative_matrices(201, stds, "reflect")
  response = matrices[:, :, 100]
  spread = np.sqrt(response @ np.square(np.arange(201) - 100.0))
  np.testing.assert_allclose(spread, expected, atol=4.5e-3)


def test_cumulative_blur_is_not_one_truncated_kernel():
  stds = blur.kernel_stds(8, 0.05)
  recursive = blur.cumulative_matrices(32, stds, "circular")[-1]
  once = blur.blur_matrix(32, float(np.linalg.norm(stds)), "circular")
  assert np.abs(recursive - once).max() > 5e-3


def test_too_small_to_reflect():
  image = np.zeros((1, 5, 8, 1), np.float32)
  with pytest.raises(UserError, match="5 pixels"):
    augmentations.make("blur")(image)
  assert augmentations.make("blur", padding="circular")(image).shape[1] == 8

import dm_pix
import jax
import numpy as np
import pytest
import skimage.metrics

from pseudovideo import errors
from pseudovideo.metrics import pairs, ssim
from tests.metrics import test_psnr

# Means of squares, at most 65,025, are 22 sums in a row, rounded by 1e-16 each,
# and divided by 58 or more.
CLOSE = 3e-12


def by_skimage(reference, other):
  """Per image; its mean is over the places inside of the borders, too."""
  values = [
    skimage.metrics.structural_similarity(
      x,
      y,
      gaussian_weights=True,
      sigma=1.5,
      use_sample_covariance=False,
      data_range=255,
      channel_axis=-1,
    )
    for x, y in zip(reference, other, strict=True)
  ]
  return np.array(values)


@pytest.fixture(
  scope="module", params=[(4, 16, 23, 3), (3, 11, 11, 1), (2, 40, 32, 2)]
)
def pair(request):
  """Noise, and smooth bright images, whose variances nearly cancel."""
  reference, other = test_psnr.noisy(*request.param)
  reference[-1] = 250 + reference[-1] // 64
  other[-1] = 250 + other[-1] // 64
  return reference, other


def test_equals_scikit_image_in_blocks_of_any_size(monkeypatch, pair):
  expected = by_skimage(*pair)
  for block in (1, 2500, pairs.BLOCK):
    monkeypatch.setattr(pairs, "BLOCK", block)
    found = ssim.per_image(*pair)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE)


def test_equals_dm_pix(pair):
  """dm_pix computes in float32, where the variances of bright images round.

  Means of squares, at most 1, are 22 sums in a row, rounded by 6e-8 each. What
  is divided by is the sum of two variances and 0.0009: 0.1 for noise.
  """
  found = ssim.per_image(*pair)
  expected = jax.jit(dm_pix.ssim)(*(np.float32(x / 255) for x in pair))
  np.testing.assert_allclose(found[:-1], expected[:-1], rtol=0, atol=2e-5)
  np.testing.assert_allclose(found[-1], expected[-1], rtol=0, atol=1.5e-3)


def test_equals_the_definition():
  """Window by window, with centred moments, without separating anything."""
  reference, other = test_psnr.noisy(2, 12, 13, 2)
  ticks = np.arange(11) - 5
  window = np.exp(-(ticks[:, None] ** 2 + ticks[None] ** 2) / (2 * 1.5**2))
  window /= window.sum()
  found = ssim.per_image(reference, other)
  for n in range(2):
    values = []
    for i, j, c in np.ndindex(2, 3, 2):
      x, y = (
        np.float64(images[n, i : i + 11, j : j + 11, c])
        for images in (reference, other)
      )
      mean_x, mean_y = (window * x).sum(), (window * y).sum()
      x, y = x - mean_x, y - mean_y
      var_x, var_y = (window * x**2).sum(), (window * y**2).sum()
      cov = (window * x * y).sum()
      light = (2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)
      structure = (2 * cov + 58.5225) / (var_x + var_y + 58.5225)
      values.append(light * structure)
    np.testing.assert_allclose(found[n], np.mean(values), rtol=0, atol=CLOSE)


def test_constant_images_have_a_closed_form():
  levels = np.array([0, 3, 100, 255])
  reference = np.full((4, 11, 14, 3), 100, np.uint8)
  other = np.broadcast_to(
    levels.astype(np.uint8)[:, None, None, None], reference.shape
  )
  expected = (200 * levels + 6.5025) / (100**2 + levels**2 + 6.5025)
  np.testing.assert_allclose(
    ssim.per_image(reference, other), expected, rtol=0, atol=CLOSE
  )


def test_equal_and_inverted_images():
  reference, _ = test_psnr.noisy(2, 16, 16, 3)
  np.testing.assert_allclose(ssim.per_image(reference, reference), 1, rtol=1e-9)
  assert (ssim.per_image(reference, 255 - reference) < -0.9).all()


@pytest.mark.parametrize("shape", [(1, 10, 20, 3), (1, 5, 20, 10, 3)])
def test_small_images_are_refused(shape):
  images = np.zeros(shape, np.uint8)
  with pytest.raises(errors.UserError, match="window of 11 x 11") as caught:
    ssim.per_image(images, images)
  said = f"the images have {shape[-3]} x {shape[-2]}; give larger ones."
  assert str(caught.value).endswith(said)


# --- places in groups of frames ---


def flat(levels):
  """(N, T) grey levels -> (N, T, 11, 11, 1) videos."""
  levels = np.asarray(levels, np.uint8)[..., None, None, None]
  return np.broadcast_to(levels, (*levels.shape[:2], 11, 11, 1))


def test_places_in_a_group():
  """Frame 0 does not count, and frames 1, 4 are of the first place."""
  levels = np.array(
    [[255, 90, 95, 99, 80, 85, 89], [0, 50, 55, 59, 70, 75, 79]]
  )
  reference = np.full_like(levels, 100)
  similarity = (200 * levels + 6.5025) / (100**2 + levels**2 + 6.5025)
  expected = [
    (similarity[0, p] + similarity[0, p + 3] + similarity[1, p])
    + similarity[1, p + 3]
    for p in (1, 2, 3)
  ]
  found = ssim.per_position(flat(reference), flat(levels), period=3)
  np.testing.assert_allclose(found, np.divide(expected, 4), rtol=1e-12)
  spread = (max(expected) - min(expected)) / 4
  np.testing.assert_allclose(ssim.spread(found), spread, rtol=1e-9)


def test_videos_equal_scikit_image():
  reference, other = test_psnr.noisy(2, 5, 12, 12, 3)
  frames = (2 * 5, 12, 12, 3)
  expected = by_skimage(reference.reshape(frames), other.reshape(frames))
  expected = expected.reshape(2, 5)
  np.testing.assert_allclose(
    ssim.per_image(reference, other), expected, rtol=0, atol=CLOSE
  )
  np.testing.assert_allclose(
    ssim.per_position(reference, other),
    expected[:, 1:].mean(0),
    rtol=0,
    atol=CLOSE,
  )


def test_lengths_that_are_no_groups_are_refused():
  for frames in (6, 4, 1):
    videos = flat(np.zeros((2, frames)))
    with pytest.raises(errors.UserError, match=r"T = 1 \+ a multiple of the"):
      ssim.per_position(videos, videos)


def test_images_and_empty_groups_are_refused():
  videos = flat(np.zeros((2, 5)))
  with pytest.raises(errors.UserError, match="undefined for 1 frames; give"):
    ssim.per_position(videos[:, 0], videos[:, 0])
  with pytest.raises(errors.UserError, match="groups of 0 frames is undefined"):
    ssim.per_position(videos, videos, period=0)

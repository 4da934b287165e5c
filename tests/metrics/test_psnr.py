import dm_pix
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.metrics

from pseudovideo import errors
from pseudovideo.metrics import pairs, psnr


def noisy(*shape, seed=0):
  """A pair of uint8 arrays, from nearly equal to unrelated images."""
  rng = np.random.default_rng(seed)
  reference = rng.integers(0, 256, shape)
  scale = np.geomspace(1, 200, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
  other = np.clip(np.rint(reference + scale * rng.normal(size=shape)), 0, 255)
  return reference.astype(np.uint8), other.astype(np.uint8)


def by_skimage(reference, other):
  """Per image, over all but the last three axes."""
  lead, image = reference.shape[:-3], reference.shape[-3:]
  values = [
    skimage.metrics.peak_signal_noise_ratio(x, y, data_range=255)
    for x, y in zip(
      reference.reshape(-1, *image), other.reshape(-1, *image), strict=True
    )
  ]
  return np.reshape(values, lead)


@pytest.mark.parametrize("shape", [(7, 5, 6, 3), (1, 2, 2, 1), (3, 4, 8, 9, 2)])
def test_equals_scikit_image_in_blocks_of_any_size(monkeypatch, shape):
  reference, other = noisy(*shape)
  expected = by_skimage(reference, other)
  for block in (1, 200, pairs.BLOCK):
    monkeypatch.setattr(pairs, "BLOCK", block)
    found = psnr.per_image(reference, other)
    assert found.dtype == np.float64
    assert found.shape == shape[:-3]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_equals_dm_pix():
  reference, other = noisy(5, 8, 8, 3)
  expected = dm_pix.psnr(jnp.asarray(reference / 255), jnp.asarray(other / 255))
  np.testing.assert_allclose(
    psnr.per_image(reference, other), expected, rtol=1e-6
  )


def test_constant_differences_have_a_closed_form():
  reference = np.zeros((3, 4, 4, 3), np.uint8)
  other = np.array([1, 51, 255], np.uint8)[:, None, None, None] + reference
  expected = 20 * np.log10([255, 5, 1])
  np.testing.assert_allclose(psnr.per_image(reference, other), expected)
  # No wrapping of uint8 in the other direction.
  np.testing.assert_allclose(psnr.per_image(other, reference), expected)


def test_equal_images_are_infinitely_good():
  reference, other = noisy(3, 4, 4, 1)
  other[1] = reference[1]
  found = psnr.per_image(reference, other)
  np.testing.assert_array_equal(np.isinf(found), [False, True, False])


IMAGES = np.zeros((2, 12, 12, 3), np.uint8)


def test_pairs_that_are_refused():
  for reference, other, said in [
    (IMAGES, IMAGES / 255, "the types uint8 and float64; uint8 from 0 to 255"),
    (IMAGES.astype("f4"), IMAGES, "the types float32 and uint8; uint8 from 0"),
    (IMAGES.astype("i4"), IMAGES.astype("i4"), "the types int32 and int32"),
    (IMAGES, IMAGES[:1], "shapes (2, 12, 12, 3) and (1, 12, 12, 3); give two"),
    (IMAGES[0], IMAGES[0], "shapes (12, 12, 3) and (12, 12, 3); give two"),
    (IMAGES, IMAGES[None], "shapes (2, 12, 12, 3) and (1, 2, 12, 12, 3); "),
    (IMAGES[None, None], IMAGES[None, None], "shapes (1, 1, 2, 12, 12, 3) an"),
    (IMAGES[:0], IMAGES[:0], "shapes (0, 12, 12, 3) and (0, 12, 12, 3) with"),
    (IMAGES[:, :0], IMAGES[:, :0], "shapes (2, 0, 12, 3) and (2, 0, 12, 3) w"),
  ]:
    with pytest.raises(errors.UserError) as caught:
      psnr.per_image(reference, other)
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")

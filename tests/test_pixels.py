import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors, keys, pixels
from tests import annotations

EVERY = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_round_trip_is_exact(value_range):
  floats = pixels.to_float(jnp.asarray(EVERY), value_range)
  expected = value_range[0] + EVERY.astype(np.float64) / 255 * (
    value_range[1] - value_range[0]
  )
  np.testing.assert_allclose(floats, expected, atol=1e-6)
  np.testing.assert_array_equal(pixels.to_uint8(floats, value_range), EVERY)


def test_to_uint8_clips_and_rounds_to_nearest():
  x = jnp.asarray([-0.5, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 7.0])
  assert pixels.to_uint8(x, (0.0, 1.0)).tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_becomes_no_pixel(bad):
  x = jnp.asarray([0.5, bad, 0.25])
  with pytest.raises(errors.RunError, match=r"Image 1 .* 1 of 3"):
    pixels.to_uint8(x, (0.0, 1.0))


def test_floats_are_refused_where_uint8_is_meant():
  with annotations.unchecked(), pytest.raises(ValueError, match="uint8"):
    pixels.to_float(jnp.zeros((1, 2, 2, 1)), (0.0, 1.0))


def test_bernoulli_has_the_grey_value_as_its_mean(key):
  grey = jnp.full((4000, 1, 1, 1), 64, jnp.uint8)
  white = np.asarray(pixels.binarize(grey, "bernoulli", key=key))
  assert set(white.ravel().tolist()) == {0, 255}
  p = 64 / 255
  assert abs((white / 255).mean() - p) < 5 * np.sqrt(p * (1 - p) / 4000)


def test_bernoulli_is_certain_at_the_ends(key):
  ends = jnp.asarray([0, 255], jnp.uint8).reshape(2, 1, 1, 1)
  for i in range(5):
    drawn = pixels.binarize(ends, "bernoulli", key=keys.numbered(key, i))
    assert drawn.ravel().tolist() == [0, 255]


def test_threshold_is_in_the_middle():
  drawn = np.asarray(pixels.binarize(jnp.asarray(EVERY), "threshold"))
  np.testing.assert_array_equal(drawn == 255, EVERY >= 128)


def test_unknown_binarization_lists_the_choices():
  with pytest.raises(errors.UserError, match="bernoulli, none, threshold"):
    pixels.binarize(jnp.asarray(EVERY), "bernouli")

import dataclasses

import jax
import numpy as np
import pytest
from scipy import fft

from pseudovideo import data, errors, keys, pixels
from pseudovideo.models import unet
from pseudovideo.tasks import heat_hvae
from tests import rounding

NET = unet.UNet(
  channels=8, multipliers=(1, 1), blocks=1, attention=(1,), heads=1, groups=4,
  conditioning="additive",
)  # fmt: skip
TASK = heat_hvae.HeatHVAE(
  image_shape=(8, 8, 1), model=NET, levels=4, sigma_min=0.3, sigma_max=6.0,
  sigma_h=0.1,
)  # fmt: skip
# With a network that compiles sooner; its middle attends.
SMALL = dataclasses.replace(
  TASK, model=NET.clone(multipliers=(1,), attention=())
)
# Blur widths of levels 0 .. 4, from the definition.
SIGMAS = np.array([0.0, *np.geomspace(0.3, 6.0, 4)])


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


@pytest.fixture(scope="module")
def fitted(digits):
  return SMALL.init(jax.random.key(0), digits)


@pytest.fixture(scope="module")
def sample(fitted):
  return jax.jit(lambda rows: SMALL.sample(*fitted, key=rows, num=len(rows)))


@pytest.fixture(scope="module")
def samples(sample):
  return np.asarray(sample(keys.example_keys(jax.random.key(0), 2000)))


def blurred(x, sigma):
  """The heat equation in float64: (B, 8, 8, 1), (B,) widths."""
  c = fft.dctn(x, axes=(1, 2), norm="ortho")
  f = (np.pi * np.arange(8) / 8) ** 2
  decay = np.exp(-(f[:, None] + f) * sigma[:, None, None] ** 2 / 2)
  return fft.idctn(c * decay[..., None], axes=(1, 2), norm="ortho")


def test_loss_of_an_untrained_network_is_the_step_between_levels(
  digits, fitted, key
):
  # The network outputs zero, so the mean of u_{k-1} is u_k itself.
  params, extra = fitted

  @jax.jit
  def run(params, extra, images, rows):
    terms, after = SMALL.loss(
      params, extra, {"image": images}, key=rows, step=0, train=True
    )
    assert after is extra
    level = keys.integers(keys.named(rows, "level"), 64, 1, 5)
    noise = keys.normal(keys.named(rows, "noise"), (64, 8, 8, 1))
    return terms["squared_error"], level, noise

  rows = keys.example_keys(key, 64)
  (value, weight, coefficient), level, noise = jax.device_get(
    run(params, extra, digits.train_images[:64], rows)
  )
  x = digits.train_images[:64] / 255
  noisy = blurred(x, SIGMAS[level]) + 0.1 * np.asarray(noise, np.float64)
  expected = np.square(noisy - blurred(x, SIGMAS[level - 1])).sum((1, 2, 3))
  np.testing.assert_allclose(value, expected, rtol=1e-4)
  assert (weight == 1).all() and coefficient == 1.0
  assert set(level) == {1, 2, 3, 4}, "the top level is trained too"


def test_start_is_the_gaussian_of_the_data_at_the_top_level(digits, fitted):
  _, extra = fitted
  x = blurred(digits.train_images / 255, np.full(len(digits.train_images), 6.0))
  c = fft.dctn(x, axes=(1, 2), norm="ortho")
  np.testing.assert_allclose(
    extra["frozen"]["start_mean"], c.mean(axis=0), atol=1e-5
  )
  np.testing.assert_allclose(
    extra["frozen"]["start_std"], c.std(axis=0), atol=1e-4
  )


def test_first_frame_has_the_statistics_of_blurred_data(digits, samples):
  assert samples.shape == (2000, 5, 8, 8, 1)
  x = blurred(digits.train_images / 255, np.full(len(digits.train_images), 6.0))
  first = samples[:, 0]
  np.testing.assert_allclose(first.mean(axis=0), x.mean(axis=0), atol=0.02)
  np.testing.assert_allclose(
    first.var(axis=0).mean(), x.var(axis=0).mean() + 0.1**2, rtol=0.05
  )


def test_noise_grows_by_delta_per_level_and_ends_with_a_mean(samples):
  # An untrained network predicts no change: the chain is a random walk.
  steps = np.diff(samples, axis=1)
  np.testing.assert_allclose(steps[:, :-1].std(), 0.125, rtol=0.02)
  assert not steps[:, -1].any()


def test_samples_do_not_notice_the_batch_size(sample, samples, key):
  part = sample(keys.example_keys(key, 2, start=4))
  # Four levels of a sum over 8 + 8 coefficients and noise, below 5.
  np.testing.assert_allclose(
    part, samples[4:6], atol=rounding.bound(4 * 18, 5.0)
  )


def test_pseudo_video_ends_with_the_image(digits, fitted, key):
  images = digits.train_images[:3]
  video = jax.jit(SMALL.pseudo_video)(*fitted, images, key=key)
  assert video.shape == (3, 5, 8, 8, 1)
  np.testing.assert_array_equal(
    pixels.to_uint8(video[:, -1], TASK.value_range), images
  )
  for frame, sigma in zip(range(4), SIGMAS[:0:-1], strict=True):
    x = blurred(digits.train_images[:3] / 255, np.full(3, sigma))
    difference = np.asarray(video[:, frame]) - x
    assert abs(difference.std() - 0.1) < 0.02


def test_binarized_images_are_black_and_white_before_the_blur(digits, key):
  task = heat_hvae.HeatHVAE(
    image_shape=(8, 8, 1), model=NET, binarize="bernoulli", levels=4
  )
  images = digits.train_images[:3]
  make = jax.jit(lambda x, key: task.pseudo_video(None, None, x, key=key))
  video = np.asarray(make(images, key))
  assert set(np.unique(video[:, -1])) == {0.0, 1.0}


@pytest.mark.parametrize(
  "fields, words",
  [
    (dict(sigma_min=6.0, sigma_max=6.0), r"task\.sigma_max; got 6.0 and 6.0"),
    (dict(image_shape=(7, 8, 1)), "7x8"),
    (dict(image_shape=(8, 10, 1)), "8x10"),
    (dict(levels=2, sigmas=(1.0,)), r"task\.sigmas.*\(1.0,\)"),
    (dict(levels=2, sigmas=(1.0, 1.0)), r"task\.sigmas.*\(1.0, 1.0\)"),
    (dict(reconstruction_likelihood="bernoulli"), "data.binarize is 'none'"),
  ],
)
def test_impossible_fields_are_refused(fields, words):
  base = dict(image_shape=(8, 8, 1), model=NET)
  with pytest.raises(errors.UserError, match=words):
    heat_hvae.HeatHVAE(**(base | fields)).check()


def test_blur_widths_may_be_listed(digits, key):
  widths = (0.4, 0.5, 3.0)
  task = heat_hvae.HeatHVAE(
    image_shape=(8, 8, 1), model=NET, levels=3, sigmas=widths, sigma_h=1e-6
  )
  task.check()
  images = digits.train_images[:2]
  make = jax.jit(lambda x, key: task.pseudo_video(None, None, x, key=key))
  video = make(images, key)
  for frame, sigma in zip(range(3), widths[::-1], strict=True):
    x = blurred(images / 255, np.full(2, sigma))
    # Ten deviations of the noise, the least that is allowed.
    np.testing.assert_allclose(video[:, frame], x, atol=1e-5)

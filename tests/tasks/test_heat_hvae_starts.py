"""Where samples of the heat HVAE start, against SciPy's transform."""

import dataclasses
import types

import jax
import numpy as np
import pytest
from scipy import fft

from configs import hvae
from pseudovideo import data, keys
from pseudovideo.config import comparing, parsing
from pseudovideo.samplers import hvae_start
from pseudovideo.tasks import heat_hvae


class NoChange:
  """A network whose output is zero: u_{k-1} has the mean u_k."""

  def init(self, key, x, level):
    return {"params": {}}

  def apply(self, variables, x, level, *, dropout_key=None):
    return 0 * x


IMAGES = hvae_start.HeatSampler("training_images")
TASK = heat_hvae.HeatHVAE(
  image_shape=(8, 8, 1), model=NoChange(), levels=2, sigma_min=0.3,
  sigma_max=6.0, sigma_h=0.1,
)  # fmt: skip


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


@pytest.fixture(scope="module")
def extra(digits):
  return TASK.init(jax.random.key(0), digits)[1]


def dct(x):
  return fft.dctn(np.float64(x), axes=(1, 2), norm="ortho")


def top_coefficients(images, sigma=6.0):
  """Of uint8 8x8 images after the blur of `sigma` pixels."""
  f = (np.pi * np.arange(8) / 8) ** 2
  decay = np.exp(-(f[:, None] + f) * sigma**2 / 2)
  return dct(images / 255) * decay[..., None]


def first_frames(task, extra, key, num):
  sample = jax.jit(lambda k: task.sample({}, extra, key=k, num=num)[:, 0])
  return np.asarray(sample(key))


def test_gaussian_start_has_the_mean_and_spectrum_of_the_data(digits, key):
  task = dataclasses.replace(TASK, sigma_max=1.5, sigma_h=0.02)
  c = top_coefficients(digits.train_images, 1.5)
  extra = task.init(key, digits)[1]
  drawn = dct(first_frames(task, extra, key, 4000))
  std = np.sqrt(c.var(axis=0) + 0.02**2)
  error = (drawn.mean(axis=0) - c.mean(axis=0)) / std * np.sqrt(4000)
  assert np.abs(error).max() < 4.5
  np.testing.assert_allclose(drawn.std(axis=0), std, rtol=0.06)
  assert (std > 0.04).sum() > 5, "several coefficients are above the noise"


def test_image_start_is_a_blurred_training_image(digits, extra, key):
  task = dataclasses.replace(TASK, sampler=IMAGES, delta_ratio=1e-9)
  drawn = first_frames(task, extra, key, 50)
  c = top_coefficients(digits.train_images)
  blurred = fft.idctn(c, axes=(1, 2), norm="ortho")
  distance = np.abs(drawn[:, None] - blurred[None]).max(axis=(2, 3, 4))
  assert distance.min(axis=1).max() < 1e-6
  assert len(set(distance.argmin(axis=1))) > 40


def test_images_are_drawn_uniformly_with_noise_of_the_decoder(digits, key):
  few = types.SimpleNamespace(train_images=digits.train_images[:4])
  task = dataclasses.replace(TASK, sampler=IMAGES, sigma_h=1e-3)
  extra = task.init(key, few)[1]
  drawn = first_frames(task, extra, key, 2000)
  blurred = fft.idctn(
    top_coefficients(few.train_images), axes=(1, 2), norm="ortho"
  )
  noise = drawn[:, None] - blurred[None]
  nearest = np.square(noise).sum(axis=(2, 3, 4)).argmin(axis=1)
  counts = np.bincount(nearest, minlength=4)
  assert np.abs(counts - 500).max() < 4 * np.sqrt(2000 * 3 / 16)
  noise = noise[np.arange(2000), nearest]
  np.testing.assert_allclose(noise.std(), 1.25e-3, rtol=0.01)
  assert abs(noise.mean()) < 4 * 1.25e-3 / np.sqrt(noise.size)


def test_only_modes_that_the_blur_leaves_are_stored(digits, extra):
  c = top_coefficients(digits.train_images).reshape(-1, 64)
  modes = hvae_start.low_modes(8, 6.0)
  np.testing.assert_allclose(
    extra["frozen"]["start_modes"], c[:, modes], atol=2e-6
  )
  assert np.abs(np.delete(c, modes, axis=1)).max() < 8e-6
  assert extra["frozen"]["start_modes"].dtype == np.float32
  assert 60_000 * len(hvae_start.low_modes(28, 20.0)) * 4 < 2e6
  assert len(hvae_start.low_modes(8, 0.1)) == 64


def test_channels_keep_their_own_coefficients(key):
  images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
  task = dataclasses.replace(
    TASK, image_shape=(8, 8, 3), sampler=IMAGES, delta_ratio=1e-9
  )
  extra = task.init(key, types.SimpleNamespace(train_images=images))[1]
  expected = fft.idctn(top_coefficients(images), axes=(1, 2), norm="ortho")
  drawn = first_frames(task, extra, key, 2)
  np.testing.assert_allclose(drawn, expected.repeat(2, 0), atol=1e-6)


def test_samples_do_not_notice_the_batch_size(extra, key):
  """With the images as starts; the other start is tested with a network."""
  task = dataclasses.replace(TASK, sampler=IMAGES)
  sample = jax.jit(lambda rows: task.sample({}, extra, key=rows, num=len(rows)))
  rows = keys.example_keys(key, 6)
  whole, part = sample(rows), sample(rows[4:])
  np.testing.assert_allclose(whole[4:], part, atol=1e-6)


def test_the_start_is_a_section_that_may_change_after_training():
  raw = parsing.complete(hvae.get_config("preset=tiny"))
  other = parsing.complete(hvae.get_config("preset=tiny"))
  other["sampler"]["start"] = "training_images"
  assert raw["sampler"] == {"start": "gaussian"}
  assert comparing.differences(raw, other) == []
  task = parsing.parse(other).make_task((8, 8, 1))
  assert task.sampler == IMAGES

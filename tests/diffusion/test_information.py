"""The noise level of frames together: closed forms, and drawn frames."""

import jax
import numpy as np
import pytest

from pseudovideo import augmentations
from pseudovideo.augmentations import noise
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import information, process
from pseudovideo.samplers import windows

CHAIN = chains.Chain.of(process.Process(steps=1000))
NAMES = ("first_order", "high_order", "matched_snr", "matched_information")


def stages(name, frames, context=None):
  made = augmentations.make(name, frames=frames)
  schedule = windows.autoregressive(frames, context or frames // 2)
  return information.of_stages(made.weights(), schedule)


@pytest.mark.parametrize(
  ("name", "frames", "sigma", "left"),
  [
    ("first_order", 4, 0.1606, 46),
    ("high_order", 4, 0.1454, 42),
    ("matched_information", 4, 0.1454, 42),
    ("first_order", 8, 0.2283, 67),
    ("high_order", 8, 0.1251, 35),
    ("matched_information", 8, 0.1251, 35),
    ("matched_snr", 4, 0.1604, 46),
    ("matched_snr", 8, 0.1670, 48),
  ],
)
def test_first_stages_of_the_paper(name, frames, sigma, left):
  first, *_ = found = stages(name, frames)
  assert first.before == np.inf
  assert first.after == pytest.approx(sigma, abs=5.1e-5)
  assert information.nearest_step(CHAIN, first.after) == left
  assert found[-1].after == 0
  if name != "high_order":  # Whose windows forget a little.
    assert sum(stage.steps(CHAIN) for stage in found) == 1000


def test_windows_of_high_order_frames_forget():
  """The sixth of eight frames, given the four before it."""
  stage = stages("high_order", 8)[2]
  assert stage.before == pytest.approx(0.1064, abs=5.1e-5)
  assert stage.remembered == pytest.approx(0.1047, abs=5.1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_frames_leave_the_variance_that_one_noisy_image_leaves(name):
  """Of a Gaussian image, by the conditional covariance of all frames."""
  rows, variance = augmentations.make(name, frames=6).weights(), 0.7
  for frames in (rows[-1:], rows[2:], rows[[0, 3]]):
    a, noises = frames[:, 0], frames[:, 1:]
    of_frames = variance * np.outer(a, a) + noises @ noises.T
    left = variance - variance**2 * a @ np.linalg.solve(of_frames, a)
    sigma = information.effective_sigma(frames)
    assert left == pytest.approx(1 / (1 / variance + 1 / sigma**2), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_drawn_frames_give_an_image_of_that_noise(name, key):
  """The sufficient statistic of 20,000 drawn pixels is x + sigma n."""
  made = augmentations.make(name, frames=5)
  image = np.random.default_rng(0).normal(size=(50, 20, 20, 1))
  video = jax.jit(made)(np.float32(image), key=key)
  frames = np.float64(np.moveaxis(video, 1, 0)[:3].reshape(3, -1))
  rows = made.weights()[::-1][:3]
  a, noises = rows[:, 0], rows[:, 1:]
  weights = np.linalg.solve(noises @ noises.T, a)
  error = weights @ frames / (weights @ a) - np.float32(image).ravel()
  sigma, num = information.effective_sigma(rows), error.size
  assert abs(error.mean()) < 4.5 * sigma / np.sqrt(num)
  assert error.std() == pytest.approx(sigma, rel=4.5 / np.sqrt(2 * num))


@pytest.mark.parametrize("frames", [2, 4, 8])
def test_matched_information_is_that_of_high_order_frames(frames):
  high = augmentations.make("high_order", frames=frames).weights()
  matched = augmentations.make("matched_information", frames=frames).weights()
  for t in range(frames - 1):
    sigmas = [information.effective_sigma(x) for x in (high[t:], matched[t:])]
    assert sigmas[1] == pytest.approx(sigmas[0], rel=1e-9)
    # In a first-order chain noisier frames add nothing.
    alone = information.effective_sigma(matched[t : t + 1])
    assert alone == pytest.approx(sigmas[1], rel=1e-9)
  assert noise.joint_ratio(high[:0]) == 0


def test_steps_between_images_and_noise():
  assert information.nearest_step(CHAIN, 0) == 0
  assert information.nearest_step(CHAIN, np.inf) == 1000
  levels = np.sqrt(1 / CHAIN.alpha_bars - 1)
  for k in (1, 2, 500, 1000):
    assert information.nearest_step(CHAIN, levels[k - 1]) == k

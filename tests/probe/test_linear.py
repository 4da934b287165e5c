"""Linear predictors against errors that are known in closed form."""

import jax
import numpy as np
import pytest
from scipy import signal

from pseudovideo import augmentations, errors, keys
from pseudovideo.probe import gains, linear, theory


def gaussian_videos(name, frames, num, seed):
  """Chains of images of independent N(0, 1) pixels."""
  key = jax.random.key(seed)
  images = keys.normal(keys.named(key, "images"), (num, 16, 16, 1))
  return np.array(
    augmentations.make(name, frames=frames)(images, key=keys.named(key, "eps"))
  )


def held_out(train, test, window):
  """(P, N) squared errors per video."""
  left = linear.residuals(linear.fit(train, window), test)
  return np.square(np.float64(left)).mean((2, 3, 4))


@pytest.mark.parametrize(
  ("name", "frames"),
  [("first_order", 4), ("high_order", 4), ("high_order", 8)],
)
def test_errors_are_those_of_theorem_41(name, frames):
  """All frames are predicted from all numbers of given ones."""
  num = 300
  train, test = (gaussian_videos(name, frames, num, seed) for seed in (0, 1))
  found = held_out(train, test, 1)
  betas = augmentations.make(name, frames=frames).betas()
  high_order = name == "high_order"
  table = theory.frame_errors(theory.covariance(betas, high_order=high_order))
  expected = {pair: table[pair] for pair in linear.pairs(frames)}
  near = theory.image_errors(betas, high_order=high_order)
  expected |= {(frames - 1, k + 1): near[k] for k in range(frames - 1)}
  spread = np.sqrt(2 / (num * 256))
  previous = {}
  for (t, k), error in zip(linear.pairs(frames), found, strict=True):
    assert error.mean() == pytest.approx(expected[t, k], rel=4.5 * spread)
    if k == 1:
      previous[t] = error
      continue
    saved = gains.saved([(previous[t][None], error[None])])
    gain = 1 - expected[t, k] / expected[t, 1]
    cost = k / (num * 256)
    assert abs(saved.value - gain) < 4.5 * saved.error + 3 * cost
    if high_order:
      # 3.6 standard errors are expected of the image of 4 frames.
      assert saved.value > (4 if frames == 8 else 1) * saved.error
    else:
      assert abs(saved.value) < 3e-4


def test_variances_are_the_errors_of_a_constant():
  train = gaussian_videos("high_order", 4, 200, 0)
  train += np.float32(np.arange(4))[None, :, None, None, None]
  found = linear.fit(train, 1)
  np.testing.assert_allclose(
    found.variances, np.float64(train).var((0, 2, 3, 4)), rtol=1e-6
  )
  assert found.places == 200 * 256


def correlated(num, seed):
  """Fields with a known covariance, white fields smoothed on a torus, and
  the same with noise of variance 0.3; two channels, the second of which holds
  the noise alone, doubled."""
  rng = np.random.default_rng(seed)
  kernel = np.array([[0.2, 0.5, 0.1], [0.4, 1.0, -0.3], [0.0, 0.6, 0.2]])
  field = signal.fftconvolve(
    rng.normal(size=(num, 26, 26)), kernel[None], mode="valid", axes=(1, 2)
  )
  noise = np.sqrt(0.3) * rng.normal(size=field.shape)
  other = rng.normal(size=field.shape)
  videos = np.stack(
    [np.stack([field + noise, other], -1), np.stack([field, other], -1)], 1
  )
  return np.float32(videos), signal.correlate2d(kernel, kernel)


def test_errors_of_a_window_in_a_field_of_known_covariance():
  """v - c' (R + 0.3 I)^-1 c over the pixels of the window."""
  train, auto = correlated(400, 0)
  test, _ = correlated(400, 1)
  auto = np.pad(auto, 2)
  at = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), -1)
  at = at.reshape(9, 2)
  apart = at[:, None] - at[None]
  between = auto[4 + apart[..., 0], 4 + apart[..., 1]] + 0.3 * np.eye(9)
  cross = auto[4 + at[:, 0], 4 + at[:, 1]]
  expected = auto[4, 4] - cross @ np.linalg.solve(between, cross)
  alone = auto[4, 4] - auto[4, 4] ** 2 / (auto[4, 4] + 0.3)
  for window, known in ((3, expected), (1, alone)):
    # The second channel says nothing of the first and is predicted exactly.
    error = 2 * held_out(train, test, window)[0].mean()
    assert error == pytest.approx(known, rel=0.015)
  assert expected < 0.9 * alone


def test_a_shift_is_within_a_window_of_three():
  rng = np.random.default_rng(0)
  train, test = (np.float32(rng.random((50, 2, 9, 8, 1))) for _ in range(2))
  for videos in (train, test):
    videos[:, 1] = np.roll(videos[:, 0], (1, -1), axis=(1, 2))
  assert held_out(train, test, 3).max() < 1e-12
  assert held_out(train, test, 1).min() > 0.05


def test_blocks_are_the_windows_of_all_places(monkeypatch):
  monkeypatch.setattr(linear, "BLOCK_BYTES", 1)
  rng = np.random.default_rng(0)
  videos = np.float32(rng.random((3, 2, 5, 6, 2)))
  expected = [
    np.moveaxis(video[:, i : i + 3, j : j + 3], -1, 1).ravel()
    for video in videos
    for i in range(3)
    for j in range(4)
  ]
  found = list(linear.blocks(videos, 3))
  assert len(found) == 3
  np.testing.assert_array_equal(np.concatenate(found), expected)


def test_coefficients_of_frames_that_follow_are_zero():
  train = gaussian_videos("high_order", 4, 20, 0)
  found = linear.fit(train, 3).coefficients.reshape(4, 9, 6)
  for i, (t, k) in enumerate(linear.pairs(4)):
    used = np.abs(found[..., i]).max(1) > 0
    np.testing.assert_array_equal(used, [t - k <= f < t for f in range(4)])


@pytest.mark.parametrize("value", [0, 1 / 3, 1000])
def test_a_frame_that_never_changes_predicts_nothing(value):
  images = np.float32(np.random.default_rng(0).normal(size=(20, 2, 8, 8, 1)))
  images[:, 0] = value
  variance = linear.fit(images, 3).variances[1]
  assert held_out(images, images, 3).mean() == pytest.approx(variance)


def test_a_window_must_have_a_centre_and_fit():
  for window in (0, 2, 9, -1):
    with pytest.raises(errors.UserError, match="odd number"):
      linear.check_window(window, (8, 10, 1))
  linear.check_window(7, (8, 10, 1))

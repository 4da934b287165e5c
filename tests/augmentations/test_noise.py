"""The statistics of the noise chains, against closed forms in float64."""

import jax
import numpy as np
import pytest

from pseudovideo import augmentations, keys
from pseudovideo.augmentations import noise
from tests import rounding

CHAINS = ("first_order", "high_order", "matched_snr", "matched_information")


def covariance(betas, high_order, variance=1.0):
  """The covariance of x_T, x_{T-1}, .., x_1 of one pixel, by recursion.

  Cov(x_{T-t}, x_r) = sqrt(1 - beta_t) Cov(source_t, x_r) for every later r.
  """
  matrix = np.full((1, 1), variance)
  for t, beta in enumerate(betas, start=1):
    source = np.ones(t) / t if high_order else np.eye(t)[-1]
    cross = np.sqrt(1 - beta) * (source @ matrix)
    own = (1 - beta) * (source @ matrix @ source) + beta
    matrix = np.block([[matrix, cross[:, None]], [cross[None, :], own]])
  return matrix


def betas_of(name, frames):
  return augmentations.make(name, frames=frames).betas()


def test_linear_schedule():
  np.testing.assert_allclose(
    betas_of("first_order", 4), [1e-4, 0.02505, 0.05], rtol=1e-12
  )


@pytest.mark.parametrize(
  ("frames", "expected"),
  [
    (4, [1e-4, 0.024977, 0.028593]),
    (8, [1e-4, 0.008342, 0.009348, 0.009595, 0.009709, 0.009806, 0.009911]),
  ],
)
def test_matched_betas_and_their_ratios(frames, expected):
  betas = betas_of("matched_snr", frames)
  np.testing.assert_allclose(betas, expected, atol=5.1e-7)
  high = noise.weights(betas_of("high_order", frames), high_order=True)
  first = noise.weights(betas, high_order=False)
  ratio = [
    np.square(w[:, 0]) / np.square(w[:, 1:]).sum(1) for w in (high, first)
  ]
  np.testing.assert_allclose(ratio[1], ratio[0], rtol=1e-10)


@pytest.mark.parametrize(("frames", "expected"), [(4, 0.99465), (8, 0.98219)])
def test_high_order_does_not_preserve_variance(frames, expected):
  betas = betas_of("high_order", frames)
  assert covariance(betas, True)[-1, -1] == pytest.approx(expected, abs=5.1e-6)
  np.testing.assert_allclose(np.diag(covariance(betas, False)), 1, rtol=1e-12)


@pytest.mark.parametrize("name", CHAINS)
def test_frames_have_the_covariance_of_the_recursion(name, key):
  """20,000 pixels; also given the image: mean coefficient and variance."""
  pixels, frames = 20_000, 8
  images = np.random.default_rng(0).normal(size=(pixels // 400, 20, 20, 1))
  augmentation = augmentations.make(name, frames=frames)
  video = jax.jit(augmentation)(np.float32(images), key=key)
  samples = np.float64(np.moveaxis(video, 1, 0)[::-1].reshape(frames, -1))
  expected = covariance(augmentation.betas(), name == "high_order")
  spread = np.sqrt(
    (np.outer(np.diag(expected), np.diag(expected)) + expected**2) / pixels
  )
  measured = samples @ samples.T / pixels
  assert np.all(np.abs(measured - expected) < 4.5 * spread)

  image, corrupted = samples[0], samples[1:]
  rows = noise.weights(augmentation.betas(), high_order=name == "high_order")
  variance = np.square(rows[:, 1:]).sum(1)
  slope = corrupted @ image / (image @ image)
  assert np.all(np.abs(slope - rows[:, 0]) < 4.5 * np.sqrt(variance / pixels))
  left = (corrupted - slope[:, None] * image).var(1)
  np.testing.assert_allclose(left, variance, rtol=4.5 * np.sqrt(2 / pixels))


def test_only_high_order_frames_are_no_markov_chain():
  """Entries (r, s) of the precision matrix vanish iff x_r and x_s are
  independent given all other frames."""
  for name in CHAINS:
    betas = betas_of(name, 5)
    precision = np.linalg.inv(covariance(betas, name == "high_order"))
    scale = np.sqrt(np.outer(np.diag(precision), np.diag(precision)))
    far = np.triu(np.abs(precision / scale), 2)[np.triu_indices(5, 2)]
    if name == "high_order":
      assert far.min() > 1e-3
    else:
      assert far.max() < 1e-9


def test_high_order_frames_tell_more_about_the_image():
  """Theorem 4.1 in numbers: best error of x_T from its k nearest frames."""
  betas = betas_of("high_order", 4)
  for high_order, expected in [
    (True, [1e-4, 9.99027941824e-5, 9.98817285367e-5]),
    (False, [1e-4, 1e-4, 1e-4]),
  ]:
    matrix = covariance(betas, high_order)
    errors = [
      1 / np.linalg.inv(matrix[: k + 1, : k + 1])[0, 0] for k in (1, 2, 3)
    ]
    np.testing.assert_allclose(errors, expected, rtol=1e-9)


def test_frames_match_their_weights_in_float64(key):
  """x_{T-t} = a_t x_T + sum_s w_ts eps_s, with the very noise of the key.

  The noise next to the image is then the same in all chains.
  """
  images = keys.uniform(keys.named(key, "images"), (2, 4, 4, 1))
  normal = jax.jit(keys.normal, static_argnums=1)
  rows = keys.example_keys(key, 2)
  eps = [normal(keys.numbered(rows, t), images.shape) for t in range(1, 8)]
  parts = np.float64(np.stack([images, *eps], 1))
  videos = []
  for name in CHAINS:
    augmentation = augmentations.make(name)
    rows = noise.weights(augmentation.betas(), high_order=name == "high_order")
    expected = np.einsum("ts,bshwc->bthwc", rows[::-1], parts)
    videos.append(np.asarray(jax.jit(augmentation)(images, key=key)))
    # Seven steps of a sum of two products, of numbers below 5.
    np.testing.assert_allclose(
      videos[-1][:, :-1], expected, atol=rounding.bound(28, 5.0)
    )
  first, high, *_ = videos
  assert np.abs(high[:, -4] - first[:, -4]).max() > 0.01

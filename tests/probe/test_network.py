"""The network: what a linear predictor cannot say, no more than there is."""

import numpy as np
import pytest

from pseudovideo.probe import linear, network, theory

NOISE = 0.1


def squares(num, seed):
  """A frame, noise that tells nothing, and the square of the frame's left
  neighbour with noise of deviation 0.1."""
  rng = np.random.default_rng(seed)
  first, other = rng.normal(size=(2, num, 8, 8, 1))
  last = np.square(np.roll(first, 1, axis=2))
  last += NOISE * rng.normal(size=last.shape)
  return np.float32(np.stack([other, first, last], 1))


def both(train, test, pair, **options):
  """Linear errors (M,) and those of networks (S, M)."""
  fitted = linear.fit(train, 3)
  i = linear.pairs(train.shape[1]).index(pair)
  left = [linear.residuals(fitted, videos)[i] for videos in (train, test)]
  found = network.errors(train, test, left, pair, 3, **options)
  return np.square(np.float64(left[1])).mean((1, 2, 3)), found


@pytest.fixture(scope="module")
def of_squares():
  train, test = squares(600, 0), squares(200, 1)
  return both(train, test, (2, 1), steps=100, seeds=(0, 1))


def test_it_learns_what_is_not_linear(of_squares):
  """Var(x^2) = 2 is left by the linear predictor, 0.01 by the best one."""
  linearly, found = of_squares
  assert linearly.mean() == pytest.approx(2 + NOISE**2, rel=0.1)
  assert found.shape == (2, 200)
  assert found.mean(1).min() > NOISE**2 * 0.9
  assert found.mean(1).max() < 0.2
  assert found[0].mean() != found[1].mean()


def chain(num, seed):
  """x_3 = N(0, 1), and two frames of the high-order chain, betas 0.1, 0.3."""
  rng = np.random.default_rng(seed)
  last, *eps = rng.normal(size=(3, num, 10, 10, 1))
  middle = np.sqrt(0.9) * last + np.sqrt(0.1) * eps[0]
  first = np.sqrt(0.7) * (last + middle) / 2 + np.sqrt(0.3) * eps[1]
  return np.float32(np.stack([first, middle, last], 1))


def test_it_does_not_beat_the_best_predictor_of_gaussian_pixels():
  expected = theory.image_errors([0.1, 0.3], high_order=True)
  train, test = chain(1000, 0), chain(1000, 1)
  found = {}
  for k in (1, 2):
    linearly, errors = both(train, test, (2, k), steps=60, seeds=(0,))
    assert linearly.mean() == pytest.approx(expected[k - 1], rel=0.025)
    # Overfitting: thousands of weights, 64,000 pixels.
    assert 0.999 < errors.mean() / linearly.mean() < 1.02
    found[k] = errors.mean()
  assert found[2] / found[1] == pytest.approx(
    expected[1] / expected[0], abs=0.015
  )


def test_inputs_are_the_newest_frame_and_differences():
  rng = np.random.default_rng(0)
  videos = rng.normal(size=(4, 4, 3, 3, 2))
  found = network.inputs(videos, (3, 3), videos)
  assert found.shape == (4, 3, 3, 6)
  np.testing.assert_allclose(found.mean((0, 1, 2)).reshape(3, 2).mean(1), 0,
                             atol=1e-12)  # fmt: skip
  for part, frames in (
    (found[..., :2], videos[:, 2]),
    (found[..., 2:4], videos[:, 1] - videos[:, 2]),
    (found[..., 4:], videos[:, 0] - videos[:, 1]),
  ):
    np.testing.assert_allclose(part.std(), 1, rtol=1e-4)
    assert np.corrcoef(part.ravel(), frames.ravel())[0, 1] > 1 - 1e-9

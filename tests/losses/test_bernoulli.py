import itertools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from pseudovideo.losses import bernoulli

RNG = np.random.default_rng(0)
cost = jax.jit(bernoulli.negative_log_likelihood)
LOGITS = RNG.normal(size=(3, 4, 5, 2)) * 4


def test_it_is_minus_the_log_of_the_probability():
  x = np.float64(RNG.integers(0, 2, LOGITS.shape))
  p = 1 / (1 + np.exp(-LOGITS))
  expected = -np.log(np.where(x == 1, p, 1 - p)).sum(axis=(1, 2, 3))
  ours = cost(np.float32(LOGITS), np.float32(x))
  assert ours.shape == (3,)
  np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_grey_targets_give_the_cross_entropy():
  x = RNG.uniform(size=LOGITS.shape)
  p = 1 / (1 + np.exp(-LOGITS))
  expected = -(special.xlogy(x, p) + special.xlogy(1 - x, 1 - p))
  ours = cost(np.float32(LOGITS), np.float32(x))
  np.testing.assert_allclose(ours, expected.sum(axis=(1, 2, 3)), rtol=1e-6)


def test_probabilities_of_all_images_sum_to_one():
  images = np.float32(list(itertools.product([0, 1], repeat=6)))
  logits = np.broadcast_to(np.float32(LOGITS[0, 0].ravel()[:6]), images.shape)
  nll = cost(logits, images)
  np.testing.assert_allclose(np.exp(-np.float64(nll)).sum(), 1, rtol=1e-6)


def test_extreme_logits_are_exact_and_their_gradients_finite():
  logits = np.float32([[-1e4], [1e4], [-1e4], [1e4], [60.0]])
  x = np.float32([[0], [1], [1], [0], [1]])
  nll, pull = jax.vjp(lambda z: cost(z, x), logits)
  np.testing.assert_array_equal(nll[:4], [0, 0, 1e4, 1e4])
  np.testing.assert_allclose(nll[4], np.exp(-60.0), rtol=1e-5)
  (gradient,) = pull(np.ones(5, np.float32))
  expected = special.expit(np.float64(logits)) - x
  np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_a_mean_is_the_pixel_itself_up_to_a_soft_step():
  p = special.expit(bernoulli.logits_of_mean(jnp.array([0.0, 0.5, 1.0])))
  np.testing.assert_allclose(p, [0.0067, 0.5, 0.9933], atol=5e-5)

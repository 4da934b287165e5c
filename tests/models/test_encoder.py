"""The encoder starts as a little noise; sizes and bounds of what it returns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.models import encoder

NET = encoder.LatentEncoder(channels=8, groups=4, initial_sigma=0.2)


@pytest.fixture(scope="module")
def variables():
  x, level = jnp.zeros((1, 8, 8, 2)), jnp.ones((1,))
  return jax.jit(NET.init)(jax.random.key(0), x, level)


apply = jax.jit(NET.apply)


def changed(variables, size):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda p: p + size * rng.normal(size=p.shape).astype(np.float32), variables
  )


def test_an_untrained_encoder_adds_noise_to_its_input(variables):
  x = jnp.asarray(np.random.default_rng(1).random((3, 8, 8, 2)), jnp.float32)
  mean, log_sigma = apply(variables, x, jnp.arange(3))
  np.testing.assert_array_equal(mean, x)
  np.testing.assert_allclose(np.exp(log_sigma), 0.2, rtol=1e-6)


def test_the_same_parameters_serve_every_size(variables):
  x = np.ones((2, 2, 6, 2), np.float32)
  mean, log_sigma = apply(changed(variables, 0.1), x, jnp.arange(2))
  assert mean.shape == log_sigma.shape == x.shape
  assert mean.dtype == log_sigma.dtype == jnp.float32
  assert np.abs(np.asarray(mean - x)).max() > 1e-3
  assert np.abs(np.asarray(mean[0] - mean[1])).max() > 1e-4, "sees the level"


def test_scales_stay_within_their_bounds(variables):
  x = jnp.asarray(np.random.default_rng(1).random((3, 8, 8, 2)), jnp.float32)
  _, log_sigma = apply(changed(variables, 10.0), 100 * x, jnp.arange(3))
  log_sigma = np.asarray(log_sigma)
  assert log_sigma.min() == NET.min_log_sigma
  assert log_sigma.max() == np.float32(NET.max_log_sigma)

import functools

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import keys
from pseudovideo.samplers import ancestral


@functools.partial(jax.jit, static_argnums=0)
def sample(step, start, sigmas, key):
  return ancestral.sample_chain(step, start, sigmas, key=key)


def add_level(x, level):
  return x + level[:, None, None, None].astype(x.dtype)


def test_levels_are_visited_from_the_top_without_noise(key):
  start = jnp.zeros((2, 1, 1, 1))
  video = sample(add_level, start, jnp.zeros((4,)), key)
  assert video.shape == (2, 5, 1, 1, 1)
  # 4, then 3, 2, 1 are added one after another.
  assert video[0].ravel().tolist() == [0, 4, 7, 9, 10]


def test_each_level_has_its_own_noise_and_the_last_frame_none(key):
  sigmas = jnp.asarray([9.0, 1.0, 2.0, 3.0])
  video = np.asarray(
    sample(
      lambda x, level: jnp.zeros_like(x),
      jnp.zeros((4000, 2, 1, 1)),
      sigmas,
      key,
    )
  )
  assert (video[:, -1] == 0).all()
  # Frames 1, 2, 3 are x_3, x_2, x_1 with standard deviations 3, 2, 1.
  stds = video[:, 1:-1].std(axis=(0, 2, 3, 4))
  np.testing.assert_allclose(stds, [3, 2, 1], rtol=0.04)
  frames = video[:, 1:-1].reshape(4000, 3, 2)
  correlation = np.corrcoef(frames[:, :, 0].T)
  assert np.abs(correlation - np.eye(3)).max() < 0.1


def test_a_linear_chain_has_the_gaussian_of_the_theory(key):
  # x_{k-1} = a x_k + sigma_{k-1} e: variances follow v <- a^2 v + sigma^2.
  a, sigmas = 0.5, [0.0, 0.7, 0.2]
  start = keys.normal(keys.named(key, "start"), (20_000, 1, 1, 1))
  video = np.asarray(
    sample(lambda x, level: a * x, start, jnp.asarray(sigmas), key)
  )
  variance = 1.0
  for sigma in (sigmas[2], sigmas[1], 0.0):
    variance = a**2 * variance + sigma**2
  np.testing.assert_allclose(video[:, -1].var(), variance, rtol=0.05)


def test_samples_do_not_notice_the_batch_size(key):
  start = jnp.ones((6, 2, 2, 1))
  sigmas = jnp.full((3,), 0.5)
  whole = sample(add_level, start, sigmas, key)
  rows = keys.example_keys(key, 2, start=4)
  part = sample(add_level, start[:2], sigmas, rows)
  # Of two programs: a few roundings by 6e-8 of numbers up to 10.
  np.testing.assert_allclose(whole[4:], part, atol=1e-5)
  assert np.abs(whole[0] - whole[4]).max() > 0.1

"""Windows of a video: what a stage sees and what is kept of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.samplers import autoregressive, windows

SHAPE = (3, 6, 2, 2, 1)


def plus_one(window, kind, key):
  """Latent frames become 10 (kind + 1) + the sum of what is observed."""
  del key
  total = jnp.sum(window.x0, axis=1, keepdims=True)
  return jnp.broadcast_to(total + 10 * (kind + 1), window.x0.shape)


def draw_window(window, kind, rows):
  """Noise of the stage's own plus what is observed."""
  del kind
  noise = jax.vmap(lambda k: jax.random.normal(k, window.x0.shape[1:]))(rows)
  return noise + jnp.sum(window.x0, axis=1, keepdims=True)


@pytest.mark.parametrize("kinds", [(0, 0, 0, 0, 0), (0, 1, 1, 2, 0)])
def test_each_stage_sees_the_frames_made_before(key, kinds):
  schedule = windows.autoregressive(6, 2)
  video = autoregressive.sample_video(
    plus_one, windows.Windows.of(schedule), kinds, jnp.zeros(SHAPE), key=key
  )
  expected = np.zeros(6)
  for (observed, latent), kind in zip(schedule, kinds, strict=True):
    expected[list(latent)] = 10 * (kind + 1) + expected[list(observed)].sum()
  np.testing.assert_array_equal(
    video, np.broadcast_to(expected[None, :, None, None, None], SHAPE)
  )


def test_padding_and_observed_frames_are_never_written(key):
  """A stage that returns nonsense for them changes nothing."""
  schedule = windows.Windows.of(windows.blockwise(6, 4, 3))

  def noise(window, kind, key):
    return jnp.where(
      window.latent[..., None, None, None] > 0,
      window.index[..., None, None, None].astype(jnp.float32),
      jnp.nan,
    ) * jnp.ones_like(window.x0)

  video = autoregressive.sample_video(
    noise, schedule, [0, 0], jnp.zeros(SHAPE), key=key
  )
  np.testing.assert_array_equal(video[:, :, 0, 0, 0], [list(range(6))] * 3)


def test_stages_and_examples_have_their_own_keys(key):
  schedule = windows.Windows.of(windows.autoregressive(4, 1))

  def draw(window, kind, rows):
    values = jax.vmap(lambda k: jax.random.normal(k, window.x0.shape[1:]))(rows)
    return values

  @jax.jit
  def run(rows):
    start = jnp.zeros((len(rows), 4, 2, 2, 1))
    return autoregressive.sample_video(draw, schedule, [0] * 4, start, key=rows)

  rows = jax.random.split(key, 3)
  video = np.asarray(run(rows))
  assert len(np.unique(video)) == video.size
  # Of two programs: a few roundings by 6e-8 of numbers up to 5.
  np.testing.assert_allclose(run(rows[1:2])[0], video[1], atol=3e-6)


def test_a_video_can_be_completed_from_any_stage(key):
  schedule = windows.Windows.of(windows.autoregressive(6, 2))
  run = jax.jit(
    functools.partial(
      autoregressive.sample_video, draw_window, schedule, [0] * 5, key=key
    ),
    static_argnames="first",
  )
  whole = np.asarray(run(jnp.zeros(SHAPE)))
  for stage in (0, 1, 4):
    known = whole.copy()
    known[:, stage and stage + 1 :] = np.nan
    found = run(jnp.asarray(known), first=stage)
    # Of another program: a few roundings by 6e-8 of numbers up to 30.
    np.testing.assert_allclose(found, whole, atol=2e-5)


def test_a_window_holds_observed_frames_only():
  video = jnp.arange(4.0)[None, :, None, None, None] + jnp.ones((2, 1, 1, 1, 1))
  frames, window = autoregressive.gather(
    video,
    jnp.array([[0, 2], [3, 1]]),
    jnp.array([[1.0, 0], [1, 1]]),
    jnp.array([[0.0, 1], [0, 0]]),
  )
  np.testing.assert_array_equal(frames[:, :, 0, 0, 0], [[1, 3], [4, 2]])
  np.testing.assert_array_equal(window.x0[:, :, 0, 0, 0], [[1, 0], [4, 2]])

"""Sample i does not notice in which batch, or on which device, it is drawn."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors, keys, pixels, runs
from pseudovideo.devices import sharding
from pseudovideo.evaluation import sampling
from pseudovideo.report import drawing

FRAMES = 3


def noise_video(params, extra, *, key, num):
  """Random frames only: what differs here differs in the keys.

  From 23 random bits to a pixel nothing is rounded but once, by any program.
  """
  del params, extra
  key = keys.example_keys(key, num)
  shape = (num, 5, 4, 1)
  frames = [keys.uniform(keys.numbered(key, t), shape) for t in range(FRAMES)]
  return 2 * jnp.stack(frames, axis=1) - 1


NOISE = types.SimpleNamespace(sample=noise_video, value_range=(-1.0, 1.0))


def draw(task, params, extra, *, num, batch_size, devices=4, **kwargs):
  mesh = sharding.make_mesh(jax.devices()[:devices])
  return sampling.generate_images(
    params,
    extra,
    key=jax.random.key(3),
    num=num,
    batch_size=batch_size,
    sampler=sampling.make_sampler(task, mesh),
    **kwargs,
  )


@pytest.fixture(scope="module")
def all_at_once():
  return draw(NOISE, {}, {}, num=16, batch_size=16)


@pytest.mark.parametrize(
  ("num", "batch_size", "devices"),
  [(16, 5, 1), (7, 4, 2), (10, 16, 4)],
)
def test_random_numbers_are_equal_bit_for_bit(
  all_at_once, num, batch_size, devices
):
  frames, _ = draw(
    NOISE, {}, {}, num=num, batch_size=batch_size, devices=devices
  )
  assert frames.dtype == np.uint8 and frames.shape == (num, 5, 4, 1)
  np.testing.assert_array_equal(frames, all_at_once[0][:num])


def test_samples_differ_from_each_other(all_at_once):
  assert len(np.unique(all_at_once[0], axis=0)) == 16


def test_the_last_frames_of_the_first_videos_are_the_first_images(all_at_once):
  frames, videos = all_at_once
  assert videos.shape == (sampling.FILM_STRIPS, FRAMES, 5, 4, 1)
  np.testing.assert_array_equal(videos[:, -1], frames[: len(videos)])
  assert not np.array_equal(videos[:, 0], videos[:, -1])


def test_pixels_are_those_of_the_value_range():
  """0 in [-1, 1] is the middle grey, and noise beyond 1 is white."""
  task = types.SimpleNamespace(
    sample=lambda params, extra, *, key, num: jnp.broadcast_to(
      jnp.asarray([0.0, 2.0, -2.0, 1.0]).reshape(1, 1, 1, 4, 1),
      (num, 2, 1, 4, 1),
    ),
    value_range=(-1.0, 1.0),
  )
  frames, _ = draw(task, {}, {}, num=2, batch_size=2)
  assert frames[0].ravel().tolist() == [128, 255, 0, 255]


def test_progress_counts_samples():
  seen = []
  draw(NOISE, {}, {}, num=10, batch_size=4, progress=seen.append)
  assert seen == [4, 8, 10]


def test_pictures_show_last_frames_and_first_videos(all_at_once):
  _, videos = all_at_once
  pictures = sampling.pictures(np.repeat(videos, 2, axis=0))
  assert set(pictures) == {"samples", "generated_videos"}
  np.testing.assert_array_equal(
    pictures["samples"], drawing.grid(np.repeat(videos, 2, axis=0)[:, -1])
  )
  np.testing.assert_array_equal(
    pictures["generated_videos"],
    drawing.film_strip(np.repeat(videos, 2, axis=0)[: sampling.FILM_STRIPS]),
  )


def test_a_trained_model_draws_the_same_images(tiny_run):
  """Up to one grey level: sums are ordered by the size of the batch."""
  run = runs.restore(tiny_run)
  shown = {
    (batch_size, devices): draw(
      run.task,
      run.params,
      run.extra,
      num=12,
      batch_size=batch_size,
      devices=devices,
    )[0].astype(int)
    for batch_size, devices in [(12, 4), (5, 1)]
  }
  reference = shown.pop((12, 4))
  assert reference.std() > 10
  for frames in shown.values():
    assert np.abs(frames - reference).max() <= 1


@pytest.mark.parametrize("factor", [1e30, np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tiny_run, factor):
  run = runs.restore(tiny_run)
  params = jax.tree.map(lambda x: x * factor, run.params)
  with pytest.raises(errors.RunError, match="not finite"):
    draw(run.task, params, run.extra, num=4, batch_size=2, devices=1)


def test_one_sample_that_is_not_finite_is_named():
  video = np.zeros((3, 2, 4, 4, 1), np.float32)
  video[1, 0, 2, 3] = np.nan
  found = jax.jit(lambda x: pixels.quantize(x, (0.0, 1.0)))(video)
  assert found.finite.tolist() == [True, False, True]
  with pytest.raises(errors.RunError, match=r"Image 11 .* 1 of 3"):
    pixels.checked(found, 10)

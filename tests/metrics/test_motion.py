"""Motion of clips, against clips whose motion is known."""

import sys

import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.metrics import motion
from tests.metrics.moving import SIZE, as_clip, pan, square, texture


def test_static_clips_do_not_move():
  clips = np.stack([pan((0, 0)), np.full_like(pan((0, 0)), 255)])
  np.testing.assert_array_equal(motion.scores(clips), [0, 0])


@pytest.mark.parametrize("velocity", [(0, 0.5), (-1.5, 2), (3, 3)])
def test_pans_move_at_their_speed(velocity):
  found = motion.scores(pan(velocity)[None])
  assert found.dtype == np.float64
  np.testing.assert_allclose(found, [np.hypot(*velocity)], rtol=0.03)


@pytest.mark.parametrize("velocity", [2, 4])
def test_a_square_moves_and_its_background_does_not(velocity):
  found = motion.speeds(square(velocity))
  assert found.shape == (2, SIZE, SIZE)
  for i, speed in enumerate(found):
    left = 12 + i * velocity
    inside = speed[24:40, left + 4 : left + 20]
    # The penalty on differences of the flow takes a little off every speed.
    np.testing.assert_allclose(np.median(inside), velocity, rtol=0.06)
    np.testing.assert_allclose(inside.mean(), velocity, rtol=0.1)
    speed[12:52, left - 8 : left + 24 + velocity + 8] = 0
    assert speed.max() < 0.05 * velocity


def test_scores_are_means_over_time():
  """A clip that stands still half of the time."""
  moving = pan((0, 2), num=3)
  clip = np.concatenate([moving, moving[-1:], moving[-1:]])
  found = motion.scores(clip[None])
  np.testing.assert_allclose(found, [(2 + 2 + 0 + 0) / 4], rtol=0.03)


def test_sensor_noise_is_no_motion():
  """Nor in a flat scene, where it alone could be followed."""
  rng = np.random.default_rng(0)
  flat = as_clip(128 + rng.normal(0, 2, (2, SIZE, SIZE)))
  still = as_clip(texture(0)[:SIZE, :SIZE] + rng.normal(0, 2, (2, SIZE, SIZE)))
  assert (motion.scores(np.stack([flat, still])) < 0.1).all()


def test_grey_clips_are_those_of_equal_channels():
  clip = pan((0, 1), num=2)
  np.testing.assert_allclose(
    motion.scores(clip[None, ..., :1]), motion.scores(clip[None]), rtol=1e-3
  )


# --- bins ---


def test_bins():
  scores = np.array([0.0, 5.0, 1.0, 0.99, 4.0, 20.0])
  values = np.array([30.0, 20.0, 28.0, 32.0, 22.0, 10.0])
  assert motion.by_bin(scores, values, (1, 4, 30)) == [
    {"from": None, "below": 1.0, "num_clips": 2, "value": 31.0},
    {"from": 1.0, "below": 4.0, "num_clips": 1, "value": 28.0},
    {"from": 4.0, "below": 30.0, "num_clips": 3, "value": 52 / 3},
    {"from": 30.0, "below": None, "num_clips": 0, "value": None},
  ]


def test_bins_weighted_by_their_clips_give_the_mean_of_all():
  rng = np.random.default_rng(0)
  scores, values = rng.exponential(3, 50), rng.normal(size=(50, 5))
  records = motion.by_bin(scores, np.float32(values), (1, 2, 5))
  assert sum(record["num_clips"] for record in records) == 50
  total = sum(record["num_clips"] * record["value"] for record in records)
  np.testing.assert_allclose(total / 50, values.mean(), atol=1e-7)


def test_no_edges_are_one_bin():
  (record,) = motion.by_bin(np.array([1.0, 9.0]), np.array([2.0, 4.0]), ())
  assert record == {"from": None, "below": None, "num_clips": 2, "value": 3.0}


def test_edges_that_do_not_ascend_are_refused():
  for edges in [(2, 1), (1, 1), (1, float("nan"))]:
    with pytest.raises(errors.UserError, match="give ascending ones"):
      motion.by_bin(np.zeros(2), np.zeros(2), edges)


def test_another_number_of_values_is_refused():
  with pytest.raises(ValueError, match="scores of motion for values"):
    motion.by_bin(np.zeros(2), np.zeros(3), (1,))


# --- mistakes ---


def test_other_clips_are_refused():
  for clips, said in [
    (np.zeros((2, 8, 8, 3), np.uint8), r"the shape is \(2, 8, 8, 3\)"),
    (np.zeros((0, 2, 8, 8, 3), np.uint8), "give at least one clip"),
    (np.zeros((1, 2, 8, 8, 3)), "motion is scored in uint8 clips"),
    (np.zeros((1, 2, 8, 8, 2), np.uint8), "with 1 or 3 channels"),
    (np.zeros((1, 1, 8, 8, 3), np.uint8), "of 2 frames or more"),
  ]:
    with pytest.raises(errors.UserError, match=said):
      motion.scores(clips)


def test_without_the_library(monkeypatch):
  monkeypatch.setitem(sys.modules, "skimage", None)
  with pytest.raises(errors.UserError, match="make install EXTRA=video"):
    motion.scores(pan((0, 0))[None])

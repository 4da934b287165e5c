"""Schedules: every frame once, from frames that are there."""

import itertools

import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.samplers import windows


def test_the_schedules_of_the_paper():
  assert windows.autoregressive(4, 2) == (
    ((), (0, 1)),
    ((0, 1), (2,)),
    ((1, 2), (3,)),
  )
  assert len(windows.autoregressive(8, 4)) == 5
  assert windows.autoregressive(3, 3) == (((), (0, 1, 2)),)


def test_the_schedule_of_the_published_video_code():
  """Its flags K = C + 1, S = 1 give one stage less than the paper says."""
  assert windows.blockwise(4, 3, 1) == (((), (0, 1, 2)), ((1, 2), (3,)))
  assert len(windows.blockwise(8, 5, 1)) == 4
  assert windows.blockwise(7, 4, 2) == (
    ((), (0, 1, 2, 3)),
    ((2, 3), (4, 5)),
    ((4, 5), (6,)),
  )


SCHEDULES = [
  windows.autoregressive(t, c) for t in range(1, 9) for c in range(1, t + 1)
] + [
  windows.blockwise(t, k, s)
  for t in range(1, 9)
  for k in range(1, t + 1)
  for s in range(1, k + 1)
]


def test_every_frame_is_generated_once_from_frames_that_are_there():
  for schedule in SCHEDULES:
    done = []
    for observed, latent in schedule:
      assert latent
      assert set(observed) <= set(done)
      done += latent
    assert done == sorted(set(done)) == list(range(len(done)))


def test_arrays_say_the_same_as_the_stages():
  for schedule in SCHEDULES:
    table = windows.Windows.of(schedule)
    for row, (observed, latent) in enumerate(schedule):
      index = table.index[row]
      assert tuple(index[table.observed[row] > 0]) == observed
      assert tuple(index[table.latent[row] > 0]) == latent
      padding = (table.observed[row] + table.latent[row]) == 0
      assert set(index[padding]) <= {latent[-1]}
    assert np.all(table.observed * table.latent == 0)


def test_impossible_schedules_are_refused():
  for make, arguments, said in [
    (windows.autoregressive, (4, 5), "task.context .* the 4 frames .*; got 5"),
    (windows.autoregressive, (4, 0), "task.context .*; got 0"),
    (windows.blockwise, (4, 5, 1), "task.window .* the 4 frames .*; got 5"),
    (windows.blockwise, (4, 3, 0), "task.new_frames .* 3 frames; got 0"),
    (windows.blockwise, (4, 3, 4), "task.new_frames .* 3 frames; got 4"),
  ]:
    with pytest.raises(errors.UserError, match=said):
      make(*arguments)


def test_schedules_differ():
  assert all(a != b for a, b in itertools.combinations(SCHEDULES[:8], 2))

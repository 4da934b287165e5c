"""Random windows: their rules, and frequencies of the published code."""

import functools

import jax
import numpy as np
import pytest

from pseudovideo import errors, keys
from pseudovideo.diffusion import random_windows

NUM = 4000


@functools.cache
def drawn(frames, window):
  draw = jax.jit(lambda key: random_windows.draw(key, NUM, frames, window))
  return [np.asarray(a) for a in draw(jax.random.key(0))]


# 8 frames in windows of 5, and the narrowest window.
@pytest.mark.parametrize("frames, window", [(8, 5), (6, 1)])
def test_windows_are_what_they_should_be(frames, window):
  index, observed, latent = drawn(frames, window)
  used = observed + latent
  assert set(np.unique(used)) <= {0, 1}
  assert (latent.sum(1) >= 1).all(), "a window starts with latent frames"
  for row, mask in zip(index, used > 0, strict=True):
    assert len(set(row)) == window
    assert (np.diff(row[mask]) > 0).all(), "in the order of the video"
    assert not np.any(np.diff(mask.astype(int)) > 0), "then padding"


@pytest.mark.parametrize(
  "frames, window, unconditional, paper",
  [(4, 3, 0.71, 0.009), (8, 5, 0.66, 0.001)],
)
def test_frequencies_are_those_of_the_published_code(
  frames, window, unconditional, paper
):
  """Measured there over 1,500 draws, hence the tolerances."""
  index, observed, latent = drawn(frames, window)
  assert abs(np.mean(observed.sum(1) == 0) - unconditional) < 0.035
  next_frame = (observed[:, :-1] == 1).all(1) & (latent[:, -1] == 1)
  next_frame &= np.ptp(index, axis=1) == window - 1
  assert abs(next_frame.mean() - paper) < 0.008


@pytest.mark.parametrize("window", [4, 5, 0])
def test_windows_that_would_never_end_are_refused(window, key):
  with pytest.raises(errors.UserError, match=f"window of {window} frames for"):
    random_windows.draw(key, 2, 4, window)


def test_a_window_depends_on_its_own_key_alone():
  rows = keys.example_keys(jax.random.key(0), NUM)[5:6]
  one = jax.jit(lambda rows: random_windows.draw(rows, 1, 8, 5))(rows)
  for alone, several in zip(one, drawn(8, 5), strict=True):
    np.testing.assert_array_equal(alone[0], several[5])

"""Pictures that are set side by side and below one another."""

import numpy as np

from pseudovideo.report import composing


def test_a_poster_has_a_strip_below_its_grids():
  grids = [np.full((30, width, 3), width, np.uint8) for width in (40, 50)]
  strip = np.full((20, 70, 3), 9, np.uint8)
  canvas = composing.poster(grids, strip)
  gap = composing.GAP
  assert canvas.shape == (30 + gap + 20, 40 + gap + 50, 3)
  assert (canvas[:30, :40] == 40).all() and (canvas[:30, -50:] == 50).all()
  assert (canvas[:30, 40:-50] == 255).all()
  assert (canvas[-20:, :70] == 9).all() and (canvas[-20:, 70:] == 255).all()
  wide = composing.poster(grids[:1], strip)
  assert wide.shape[1] == 70 and (wide[:30, 40:] == 255).all()


def test_a_label_stays_above_its_grid():
  grid = np.full((30, 120, 3), 200, np.uint8)
  one = composing.captioned({"short": grid})
  two = composing.captioned(
    {"a label of many words, one by one": grid, "b": grid}
  )
  assert one.shape[0] < two.shape[0] and two.shape[1] == 2 * 120 + 3 * 24
  between = two[:, 24 + 120 : 2 * 24 + 120]
  assert (between == 255).all()


def test_more_than_four_grids_go_on_below():
  rng = np.random.default_rng(0)
  grids = {
    name: rng.integers(0, 99, (30, 40, 3), dtype=np.uint8) for name in "abcde"
  }
  four = composing.captioned(dict(list(grids.items())[:4]))
  one = composing.captioned({"e": grids["e"]})
  five = composing.captioned(grids)
  np.testing.assert_array_equal(five[: len(four)], four)
  below = five[len(four) :]
  np.testing.assert_array_equal(below[:, : one.shape[1]], one)
  assert (below[:, one.shape[1] :] == 255).all()


def test_strips_are_flush_right_with_labels():
  grey = np.full((40, 60, 3), 90, np.uint8)
  dark = np.full((40, 90, 3), 30, np.uint8)
  canvas = composing.labelled({"one": grey, "two": dark})
  gap = composing.FONT_SIZE
  np.testing.assert_array_equal(canvas[gap : gap + 40, -gap - 60 : -gap], grey)
  second = canvas[2 * gap + 40 : 2 * gap + 80]
  np.testing.assert_array_equal(second[:, -gap - 90 : -gap], dark)
  assert second[:, : -gap - 90].min() < 60, "no label left of the strip"

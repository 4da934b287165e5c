import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.metrics import information, pairs
from tests.metrics import test_psnr


@pytest.mark.parametrize("shape", [(5, 6, 7, 3), (2, 3, 4, 4, 1)])
def test_equals_the_formula_on_the_unit_interval(monkeypatch, shape):
  reference, other = test_psnr.noisy(*shape)
  x, y = reference / 255, other / 255
  expected = 1 - np.abs(x - y).sum() / np.abs(x).sum()
  for block in (1, 200, pairs.BLOCK):
    monkeypatch.setattr(pairs, "BLOCK", block)
    found = information.preservation_degree(reference, other)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_it_is_a_ratio_of_sums():
  """The mean of ratios would be (0.9 + 0) / 2."""
  reference = np.zeros((2, 2, 2, 1), np.uint8)
  reference[0], reference[1] = 200, 10
  other = np.zeros_like(reference)
  other[0] = 180
  found = information.preservation_degree(reference, other)
  np.testing.assert_allclose(found, 1 - 30 / 210)


def test_equal_black_and_inverted_sets():
  reference = np.array([10, 200], np.uint8).reshape(2, 1, 1, 1)
  assert information.preservation_degree(reference, reference) == 1
  assert information.preservation_degree(reference, 0 * reference) == 0
  # |10 - 245| + |200 - 55| = 380 of 210.
  found = information.preservation_degree(reference, 255 - reference)
  np.testing.assert_allclose(found, 1 - 380 / 210)


def test_a_black_reference_is_refused():
  black = np.zeros((2, 3, 3, 1), np.uint8)
  with pytest.raises(errors.UserError, match="reference is all black"):
    information.preservation_degree(black, black + 1)
  # One black image is not.
  reference = np.concatenate([black, black + 4])
  other = np.concatenate([black, black + 3])
  assert information.preservation_degree(reference, other) == 0.75

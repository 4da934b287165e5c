"""The schedules against numbers known from the papers and plain loops."""

import math

import numpy as np
import pytest

from pseudovideo.diffusion import schedules


def alpha_bar(betas):
  return math.exp(math.fsum(math.log1p(-beta) for beta in betas))


def test_alpha_bar_at_the_end_of_1000_steps():
  assert alpha_bar(schedules.linear(1000)) == pytest.approx(4.04e-5, rel=2e-3)
  assert alpha_bar(schedules.cosine(1000)) == pytest.approx(2.43e-9, rel=2e-3)


def test_linear_betas_are_those_of_1000_steps_rescaled():
  betas = schedules.linear(1000)
  assert (betas[0], betas[-1]) == pytest.approx((1e-4, 0.02), rel=1e-12)
  np.testing.assert_allclose(np.diff(betas), 0.0199 / 999, rtol=1e-9)
  longer = schedules.linear(4000)
  assert (longer[0], longer[-1]) == pytest.approx((2.5e-5, 5e-3), rel=1e-12)
  # The same noise in the end: sum of betas, to first order, does not change.
  assert longer.sum() == pytest.approx(betas.sum(), rel=1e-12)


@pytest.mark.parametrize("steps", [2, 1000])
def test_cosine_follows_the_squared_cosine_until_it_is_clipped(steps):
  betas = schedules.cosine(steps)
  remaining = 1.0
  for i in range(steps - 1):
    remaining *= 1 - betas[i]
    angle = ((i + 1) / steps + 0.008) / 1.008 * math.pi / 2
    start = 0.008 / 1.008 * math.pi / 2
    expected = (math.cos(angle) / math.cos(start)) ** 2
    assert remaining == pytest.approx(expected, rel=1e-9)
  assert betas[-1] == 0.999


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_betas_are_increasing_variances(name):
  for steps in (21, 1000):
    betas = schedules.TABLE[name](steps)
    assert betas.dtype == np.float64 and betas.shape == (steps,)
    assert betas[0] > 0 and betas[-1] < 1
    assert (np.diff(betas) > 0).all()

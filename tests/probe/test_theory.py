"""Minimal errors of Gaussian chains, against conditional covariances."""

import numpy as np
import pytest

from pseudovideo.probe import theory

BETAS = {n: np.linspace(1e-4, 0.05, n - 1) for n in (4, 8)}


def joint(betas, high_order, variance):
  """Covariance of (x_1, .., x_T), by extending that of (x_T, .., x_{T-t+1})."""
  found = np.full((1, 1), variance)
  for t, beta in enumerate(betas, start=1):
    source = np.full(t, 1 / t) if high_order else np.eye(t)[-1]
    cross = np.sqrt(1 - beta) * source @ found
    own = (1 - beta) * source @ found @ source + beta
    found = np.block([[found, cross[:, None]], [cross[None], own]])
  return found[::-1, ::-1]


def schur(matrix, target, given):
  """Var(target | given) of jointly Gaussian numbers."""
  cross = matrix[given, target]
  slopes = np.linalg.solve(matrix[np.ix_(given, given)], cross)
  return matrix[target, target] - cross @ slopes


@pytest.mark.parametrize("frames", [4, 8])
@pytest.mark.parametrize("high_order", [False, True])
@pytest.mark.parametrize("variance", [1.0, 0.25])
def test_all_errors_are_conditional_variances(frames, high_order, variance):
  matrix = joint(BETAS[frames], high_order, variance)
  options = {"high_order": high_order, "variance": variance}
  ours = theory.covariance(BETAS[frames], **options)
  np.testing.assert_allclose(ours, matrix, rtol=1e-12)
  table = theory.frame_errors(ours)
  for t in range(frames):
    for k in range(frames):
      if k > t:
        assert np.isnan(table[t, k])
      else:
        expected = schur(matrix, t, list(range(t - k, t)))
        assert table[t, k] == pytest.approx(expected, rel=1e-8)
  of_image = theory.image_errors(BETAS[frames], **options)
  np.testing.assert_allclose(of_image, table[-1, 1:], rtol=1e-8)


def test_known_numbers():
  """The image is given its 1, 2, 3, (7) nearest frames, variance 1."""
  for frames, places, expected in (
    (4, [0, 1, 2], [1e-4, 9.99027941824e-5, 9.98817285367e-5]),
    (8, [0, 1, 2, 6],
     [1e-4, 9.9706335227e-5, 9.96414704057e-5, 9.95956451264e-5]),
  ):  # fmt: skip
    betas = BETAS[frames]
    high = theory.image_errors(betas, high_order=True)
    np.testing.assert_allclose(high[places], expected, rtol=1e-11)
    first = theory.image_errors(betas, high_order=False)
    np.testing.assert_allclose(first, 1e-4, rtol=1e-12)


def test_frames_between_gain_much_more():
  """x_{T-1} from C older frames: 2 of 4 and 4 of 8."""
  for frames, context, first, high in (
    (4, 2, 0.02505, 0.020701),
    (8, 4, 0.0084167, 0.006303),
  ):
    for high_order, expected in ((False, first), (True, high)):
      matrix = theory.covariance(BETAS[frames], high_order=high_order)
      found = theory.frame_errors(matrix)[-2, context]
      assert found == pytest.approx(expected, rel=1e-4)

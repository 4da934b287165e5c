r"""Minimal errors of predicting frames of Gaussian noise chains, closed forms.

Theorem 4.1 of the pseudo-video paper says that the minimal squared error of
predicting the image x_T never grows with the number of earlier frames that the
predictor is given, and stays the same for a first-order Markov chain. For a
pixel x_T ~ N(0, v) and the two chains of Sec. 4.2 (`augmentations.noise`) the
errors have closed forms. Given all frames nearer to the image, frame x_{T-t} of
the high-order chain is a known term plus

  sqrt(1 - beta_t) / t  x_T + sqrt(beta_t) eps_t,

so that each frame adds its precision, and x_T given its k nearest frames has
the error

  first order   1 / (1/v + (1 - beta_1) / beta_1)            for every k
  high order    1 / (1/v + sum_{t <= k} (1 - beta_t) / (t^2 beta_t)).

The errors of the other frames follow from the joint covariance. Gaussian
variables have no better predictor than a linear one. Everything is float64: the
differences are a thousandth of the errors.
"""

from collections.abc import Sequence

import numpy as np

from pseudovideo.augmentations import noise


def image_errors(
  betas: Sequence[float], *, high_order: bool, variance: float = 1.0
) -> np.ndarray:
  """Minimal squared errors of the image, given its k nearest frames.

  Args:
    betas: beta_1 .. beta_{T-1}; the first makes the frame next to the image.
    high_order: True for the high-order chain, False for the first-order chain.
    variance: v, of a pixel of the image.

  Returns:
    (T - 1,) float64; entry k - 1 is the error given k frames.
  """
  noises = np.array(betas, np.float64)
  steps = np.arange(1, len(noises) + 1)
  precisions = (1 - noises) / (np.square(steps) * noises)
  if not high_order:
    precisions[1:] = 0
  return 1 / (1 / variance + np.cumsum(precisions))


def covariance(
  betas: Sequence[float], *, high_order: bool, variance: float = 1.0
) -> np.ndarray:
  """The covariance of a pixel in all frames, the image last, (T, T) float64."""
  rows = noise.weights(betas, high_order=high_order)[::-1]
  rows = np.concatenate([rows, np.eye(1, rows.shape[1])])
  variances = np.ones(rows.shape[1])
  variances[0] = variance
  return (rows * variances) @ rows.T


def frame_errors(joint: np.ndarray) -> np.ndarray:
  """Minimal linear squared errors of every frame given the frames before it.

  Args:
    joint: (T, T) covariance of a pixel in frames 0 .. T - 1, regular.

  Returns:
    (T, T) float64. Entry (t, k) is the error of frame t given frames
    t - k .. t - 1, for k = 0 its variance; nan for k > t.
  """
  errors = np.full_like(joint, np.nan)
  for t in range(len(joint)):
    for k in range(t + 1):
      block = slice(t - k, t + 1)
      # The last entry of a precision matrix belongs to x_t given the others.
      errors[t, k] = 1 / np.linalg.inv(joint[block, block])[-1, -1]
  return errors

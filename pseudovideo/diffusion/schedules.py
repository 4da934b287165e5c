"""The variances beta_0 .. beta_{T-1} of the noise added at each step."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float64


def linear(steps: int) -> Float64[np.ndarray, " T"]:
  """Evenly spaced betas (Ho et al. 2020), rescaled from 1000 steps to T.

  They go from 1e-4 * 1000 / T to 0.02 * 1000 / T, so that the last alphabar
  hardly depends on T. All betas stay below 1 only if T > 20.

  Args:
    steps: T.
  """
  scale = 1000 / steps
  return np.linspace(1e-4 * scale, 0.02 * scale, steps)


def cosine(steps: int) -> Float64[np.ndarray, " T"]:
  """Betas whose alphabar falls as a squared cosine (Nichol & Dhariwal 2021).

  beta_i = min(1 - f((i + 1) / T) / f(i / T), 0.999) with
  f(u) = cos^2((u + 0.008) / 1.008 * pi / 2) (their Eq. 17).

  Args:
    steps: T.
  """
  u = np.arange(steps + 1) / steps
  f = np.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
  return np.minimum(1 - f[1:] / f[:-1], 0.999)


Schedule = Literal["linear", "cosine"]
TABLE: dict[str, Callable[[int], np.ndarray]] = {
  "linear": linear,
  "cosine": cosine,
}

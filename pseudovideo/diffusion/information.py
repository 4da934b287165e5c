"""The noise level of the one image that says as much as several noisy frames.

Each frame of a noise pseudo video is a x + n: the image x times a number, and
Gaussian noise that is independent between pixels but not between frames. With
the K frames' coefficients a, (K,), and the covariance S of their noise, (K, K),
all that they say of x is said by the noisy image (Kay 1993, "Fundamentals of
Statistical Signal Processing: Estimation Theory", Ch. 4)

  a^T S^-1 frames / (a^T S^-1 a) = x + sigma n,    1 / sigma^2 = a^T S^-1 a.

So for a perfect network the stages of an autoregressive sampler are parts of
one diffusion chain: a stage that is given frames of `sigma` begins at the step
k with (1 - ab_k) / ab_k = sigma^2, and ends where its own frames are known too.
Everything here is float64.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from pseudovideo.augmentations import noise
from pseudovideo.diffusion import chain as chains


def effective_sigma(rows: Float64[np.ndarray, "K N"]) -> float:
  """The noise level, relative to the image, of all the frames together.

  Args:
    rows: frames as combinations of the image (column 0) and of independent
      standard normal noises (the others), see `augmentations.noise.weights`.
      Without frames it is infinite, with the image among them 0.
  """
  if not len(rows):
    return math.inf
  if not np.abs(rows[:, 1:]).sum(axis=1).all():
    return 0.0
  return 1 / math.sqrt(noise.joint_ratio(rows))


def nearest_step(chain: chains.Chain, sigma: float) -> int:
  """The step of a chain, 1 .. K, whose noise level is nearest to `sigma`.

  It is the number of steps that are left. 0 is the image, for `sigma` 0;
  infinity is K, where sampling begins.
  """
  if sigma == 0:
    return 0
  levels = np.sqrt((1 - chain.alpha_bars) / chain.alpha_bars)
  distances = np.abs(np.log(levels / min(sigma, levels[-1])))
  return int(np.argmin(distances)) + 1


@dataclasses.dataclass(frozen=True)
class Stage:
  """A stage of a sampler, as a part of the diffusion chain of the image.

  Attributes:
    before: noise level of the frames that the network is given.
    after: noise level of these and of the stage's own frames.
    remembered: noise level of all frames that were generated before, in the
      network's window or not.
  """

  before: float
  after: float
  remembered: float

  def steps(self, chain: chains.Chain) -> int:
    """Steps of a chain between `before` and `after`."""
    return nearest_step(chain, self.before) - nearest_step(chain, self.after)


def of_stages(
  rows: Float64[np.ndarray, "K K+1"],
  stages: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
) -> tuple[Stage, ...]:
  """The noise levels before and after every stage.

  Args:
    rows: of `augmentations.noise.weights`, frame x_{T-1} first.
    stages: (observed, latent) places counted from the noisiest frame, see
      `samplers.windows`.
  """
  image = np.eye(1, rows.shape[1])
  by_place = np.concatenate([rows[::-1], image])

  def sigma(places):
    return effective_sigma(by_place[list(places)])

  return tuple(
    Stage(
      before=sigma(observed),
      after=sigma((*observed, *latent)),
      remembered=sigma(range(min(latent))),
    )
    for observed, latent in stages
  )

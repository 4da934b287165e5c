"""The probabilities with which training draws the stages of a sampler.

The loss of a stage is what it is; only its windows are drawn more or less
often. `steps` gives each stage the share of the image's diffusion chain that a
perfect network would walk in it, see `information`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from pseudovideo import errors
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import information


def probabilities(
  words: str,
  stages: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
  augmentation: Any,
  chain: chains.Chain,
) -> Float64[np.ndarray, " S"]:
  """The probability of every stage; they sum to 1.

  Args:
    words: `uniform`; `steps`: by the steps of the chain that a stage stands
      for, at least one; or a weight for each stage, such as `20/1/1`.
    stages: (observed, latent) places, see `samplers.windows`.
    augmentation: makes the frames; only `steps` looks at it.
    chain: the chain whose steps count.

  Raises:
    UserError: other words, another number of weights, weights that are
      negative or all zero, or `steps` for frames that are not made of noise.
  """
  if words == "uniform":
    weights = np.ones(len(stages))
  elif words == "steps":
    weights = _steps(stages, augmentation, chain)
  else:
    weights = _listed(words, len(stages))
  return weights / weights.sum()


def _steps(stages, augmentation, chain) -> Float64[np.ndarray, " S"]:
  if not hasattr(augmentation, "weights"):
    raise errors.UserError(
      "task.stage_weights 'steps' needs frames of Gaussian noise, such as "
      "high_order's; for other frames list a weight for each stage."
    )
  found = information.of_stages(augmentation.weights(), stages)
  return np.array([max(stage.steps(chain), 1) for stage in found], float)


def _listed(words: str, num: int) -> Float64[np.ndarray, " S"]:
  try:
    weights = np.array([float(part) for part in words.split("/")])
  except ValueError:
    weights = np.array([-1.0])
  good = np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0
  if not good or len(weights) != num:
    raise errors.UserError(
      "task.stage_weights must be 'uniform', 'steps' or a weight for each of "
      f"the {num} stages, such as {'/'.join('1' * num)}; got "
      f"{errors.shown(words)}."
    )
  return weights

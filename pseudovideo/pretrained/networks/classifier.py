"""A small convolutional classifier, whose features the metrics compare."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from pseudovideo.pretrained.networks import whitened

VALUE_RANGE = (-1.0, 1.0)
"""The range of the classifier's pixels."""


class Classifier(nn.Module):
  """Convolutions, each at half the resolution of the one before, then a head.

  Every level is a 3x3 convolution, GroupNorm and ReLU; levels are joined by
  2x2 mean pooling. There is no batch statistic, so that an image's features
  depend on that image only.

  Attributes:
    num_classes: K.
    widths: channels of each level, multiples of `groups`.
    num_features: D, the width of the penultimate layer.
    groups: groups of the normalisation.
  """

  num_classes: int
  widths: tuple[int, ...]
  num_features: int = 64
  groups: int = 8

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Classifies images.

    Args:
      x: (B, H, W, C) float32 in [-1, 1].

    Returns:
      Features (B, D), not negative, and logits (B, K).
    """
    for level, width in enumerate(self.widths):
      if level > 0:
        x = nn.avg_pool(x, (2, 2), (2, 2), "SAME", count_include_pad=False)
      x = nn.Conv(
        width,
        (3, 3),
        use_bias=False,
        precision="highest",
        name=f"conv{level}",
      )(x)
      x = nn.relu(nn.GroupNorm(self.groups, name=f"norm{level}")(x))
    x = x.reshape(x.shape[0], -1)
    x = nn.Dense(self.num_features, precision="highest", name="features")(x)
    # Normalised, so that distances between features have a natural unit.
    features = nn.relu(nn.LayerNorm(name="feature_norm")(x))
    logits = nn.Dense(self.num_classes, precision="highest", name="logits")
    return features, logits(features)


def apply(
  params: Mapping[str, Any], x: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Features and logits by the classifier that parameters are of.

  Args:
    params: parameters of a `Classifier`, or of `whitened`.
    x: (B, H, W, C) float32 in [-1, 1], of the size that it was trained on.

  Returns:
    Features (B, D) and logits (B, K).
  """
  if "whiten" in params:
    return whitened.apply(params, x)
  levels = sum(name.startswith("conv") for name in params)
  network = Classifier(
    num_classes=params["logits"]["bias"].size,
    widths=tuple(params[f"conv{i}"]["kernel"].shape[-1] for i in range(levels)),
    num_features=params["features"]["bias"].size,
  )
  found: Any = network.apply({"params": params}, x)
  return found

"""The perceptual loss: squared differences of a frozen network's features.

The networks are chosen by name. Their parameters are data, to be handed to the
compiled step with the rest of its state; as constants inside it they would be
compiled in. They are never trained and never change, and dropout is off.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

FeaturesFn = Callable[[Float[Array, "B H W C"]], Float[Array, "B D"]]


def perceptual(
  features_fn: FeaturesFn,
  x: Float[Array, "B H W C"],
  y: Float[Array, "B H W C"],
) -> Float[Array, " B"]:
  """The mean over the features of (f(x) - f(y))^2.

  Args:
    features_fn: f, such as `Features.apply` with its parameters filled in.
    x: pixels in [0, 1].
    y: pixels in [0, 1]; both may be differentiated.

  Returns:
    The means, exactly 0 where x equals y.
  """
  return jnp.mean(jnp.square(features_fn(x) - features_fn(y)), axis=-1)

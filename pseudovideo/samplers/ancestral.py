"""Ancestral sampling of a chain x_K -> x_{K-1} -> ... -> x_0.

The model is p(x_K) prod_k p(x_{k-1} | x_k), Eq. 1 of the pseudo-video paper.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

from pseudovideo import keys

Mean = Callable[
  [Float[Array, "B H W C"], Int32[Array, " B"]], Float[Array, "B H W C"]
]


def sample_chain(
  mean: Mean,
  start: Float[Array, "B H W C"],
  sigmas: Float[Array, " K"],
  *,
  key: keys.Keys,
) -> Float[Array, "B K+1 H W C"]:
  """Draws x_{k-1} ~ N(mean(x_k, k), sigmas[k-1]^2 I) for k = K .. 1.

  The last frame is the mean itself: no noise is added at the end.

  Args:
    mean: takes x_k and the level k; returns the mean of x_{k-1}.
    start: x_K.
    sigmas: standard deviations of x_0 .. x_{K-1}; entry 0 is not used.
    key: scalar or (B,) keys.

  Returns:
    The frames x_K, ..., x_1 and the mean of x_0.
  """
  batch = start.shape[0]
  key = keys.example_keys(key, batch)

  def step(x, level):
    centre = mean(x, jnp.full((batch,), level, jnp.int32))
    noise = keys.normal(keys.numbered(key, level), x.shape)
    sigma = jnp.where(level > 1, sigmas[level - 1], 0.0)
    x = centre + sigma * noise
    return x, x

  levels = jnp.arange(sigmas.shape[0], 0, -1)
  _, frames = jax.lax.scan(step, start, levels)
  # (K + 1, B, H, W, C).
  video = jnp.concatenate([start[None], frames])
  return jnp.moveaxis(video, 0, 1)

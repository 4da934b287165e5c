"""Ancestral sampling of a chain x_K -> x_{K-1} -> ... -> x_0."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pseudovideo import keys


def sample_chain(
  mean: Callable[[jax.Array, jax.Array], jax.Array],
  start: jax.Array,
  sigmas: jax.Array,
  *,
  key: jax.Array,
) -> jax.Array:
  """Draws x_{k-1} ~ N(mean(x_k, k), sigmas[k-1]^2 I) for k = K .. 1.

  The last frame is the mean itself: no noise is added at the end.

  Args:
    mean: takes x_k (B, H, W, C) and the level k (B,) int32; returns the mean
      of x_{k-1}.
    start: x_K, (B, H, W, C).
    sigmas: (K,) standard deviations of x_0 .. x_{K-1}; entry 0 is not used.
    key: scalar or (B,) keys.

  Returns:
    (B, K + 1, H, W, C): the frames x_K, ..., x_1 and the mean of x_0.
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
  video = jnp.concatenate([start[None], frames])
  return jnp.moveaxis(video, 0, 1)

"""Clips in chunks: each layer caches the last frames for the next chunk.

The results of the chunks are parts of the whole clip's result. The first chunk
has 1 + f n frames, with f the temporal factor, and every later chunk f n;
chunks of latents have any length. The cache is a nested dictionary of arrays
(B, 1 or 2, H, W, C), one per layer that looks along time: its last input
frames. `jax.lax.scan` can carry it over later chunks of one length.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

COLLECTION = "cache"

Cache = dict[str, Any]


class FramesBefore(nn.Module):
  """Puts the last frames of the chunk before in front of this chunk.

  Attributes:
    count: number of frames.
  """

  count: int

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B T H W C"],
    start: Float[Array, "B {self.count} H W C"] | None,
  ) -> Float[Array, "B t H W C"]:
    """Joins the frames, and keeps the last ones if the cache is wanted.

    Args:
      x: (B, T, H, W, C), T may be 0.
      start: (B, count, H, W, C), the frames before the clip; None: x is a later
        chunk, and the cache has them.

    Returns:
      (B, count + T, H, W, C).

    Raises:
      ValueError: a later chunk came without a cache.
    """
    if start is None:
      start = self.get_variable(COLLECTION, "frames")
      if start is None:
        raise ValueError("A chunk behind the first needs the cache before it.")
    x = jnp.concatenate([start, x], axis=1)
    if self.is_mutable_collection(COLLECTION) and not self.is_initializing():
      self.put_variable(COLLECTION, "frames", x[:, -self.count :])
    return x


def encode(
  net: nn.Module,
  params: Any,
  video: Float[Array, "B T H W C"],
  cache: Cache | None = None,
) -> tuple[tuple[Float[Array, "B t h w Z"], Float[Array, "B t h w Z"]], Cache]:
  """Runs `net.encode` on a chunk.

  Args:
    net: an `IVVAE`.
    params: its parameters.
    video: (B, T, H, W, C), a chunk.
    cache: the cache returned for the chunk before; None: the clip begins here.

  Returns:
    Means and log-variances of this chunk's latents, and the cache for the next.
  """
  return _run(net, params, video, cache, "encode")


def decode(
  net: nn.Module,
  params: Any,
  latents: Float[Array, "B t h w Z"],
  cache: Cache | None = None,
) -> tuple[Float[Array, "B T H W C"], Cache]:
  """Runs `net.decode` on a chunk: its frames, and the next cache.

  Its cache is not the cache of `encode`; None: the clip begins here.
  """
  return _run(net, params, latents, cache, "decode")


def _run(net, params, x, cache, method):
  variables = {"params": params}
  if cache is not None:
    variables[COLLECTION] = cache
  out, changed = net.apply(
    variables, x, cache is None, method=method, mutable=[COLLECTION]
  )
  return out, changed.get(COLLECTION, {})

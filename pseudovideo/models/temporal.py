"""Attention over frames with learned relative positions.

It follows flexible video diffusion (Harvey et al. 2022): every pixel attends
over the frames at its place. Positions are the frames' true places in the video
and enter as differences only, so that any subset of frames can be processed.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Integer

from pseudovideo.models import layers


def position_features(
  frame_indices: Integer[Array, "B T"],
) -> Float[Array, "B T T 3"]:
  """The relative-position nets' input, from d = frame_indices[i] - [j].

  Args:
    frame_indices: (B, T) integers.

  Returns:
    (B, T, T, 3) float32: log(1 + max(d, 0)), log(1 + max(-d, 0)), 1 if d = 0.
  """
  index = frame_indices.astype(jnp.float32)
  d = index[:, :, None] - index[:, None, :]
  return jnp.stack(
    [
      jnp.log1p(jnp.maximum(d, 0)),
      jnp.log1p(jnp.maximum(-d, 0)),
      (d == 0).astype(jnp.float32),
    ],
    axis=-1,
  )


class RelativePosition(nn.Module):
  """Linear(SiLU(Linear(features) + Linear(time))), one vector per frame pair.

  Attributes:
    features: C, channels of the output.
    heads: number of vectors that the output is split into.
    dtype: type of the arithmetic.
  """

  features: int
  heads: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, positions: Float[Array, "B T T 3"], embedding: Float[Array, "B E"]
  ) -> Float[Array, "B T T {self.heads} c"]:
    """(B, T, T, 3), (B, E) -> (B, T, T, heads, C / heads); zero at first."""
    b, t = positions.shape[:2]
    c = self.features
    pair = layers.dense(c, 3, name="distance", dtype=self.dtype)(positions)
    time = layers.dense(c, embedding.shape[-1], name="time", dtype=self.dtype)(
      embedding
    )
    h = nn.silu(pair + time[:, None, None, :])
    h = layers.dense(c, c, name="out", dtype=self.dtype, zero=True)(h)
    return h.reshape(b, t, t, self.heads, c // self.heads)


class TemporalAttention(nn.Module):
  """Multi-head attention of each pixel over the frames.

  With s = (C / heads)^-1/2 and the relative-position vectors R^q, R^k, R^v:

    logit[i, j] = s (q_i . k_j + q_i . R^k[i, j] + k_j . R^q[j, i])
    out[i]      = sum_j softmax(logit)[i, j] (v_j + R^v[i, j])

  These are Eqs. 3 and 4 of Shaw et al. 2018 with a third set of vectors, R^q.
  Statistics of the normalisation are per pixel, over the channels of a group
  and all frames, padding included.

  Attributes:
    heads: number of heads; must divide the channels.
    groups: groups of the normalisation.
    dtype: type of the arithmetic (softmax in float32).
    residual_on_normed: return norm(x) + out instead of x + out, as the
      published code does.
  """

  heads: int = 1
  groups: int = 32
  dtype: DTypeLike = jnp.float32
  residual_on_normed: bool = True

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B T H W C"],
    embedding: Float[Array, "B E"],
    positions: Float[Array, "B T T 3"],
    together: Bool[Array, "B T T"],
  ) -> Float[Array, "B T H W C"]:
    """Mixes frames.

    Args:
      x: (B, T, H, W, C).
      embedding: (B, E), the embedded diffusion time.
      positions: (B, T, T, 3), the result of `position_features`.
      together: (B, T, T) bool, whether frame i may see frame j.

    Returns:
      (B, T, H, W, C).
    """
    b, t, height, width, c = x.shape
    size = c // self.heads
    flat = x.reshape(b, t, height * width, c)
    norm = layers.GroupNorm(self.groups, axes=(1,), name="norm")
    normed = norm(flat).astype(self.dtype)
    qkv = layers.dense(3 * c, c, name="qkv", dtype=self.dtype)(normed)
    # Each (B, T, H W, heads, C / heads).
    q, k, v = jnp.moveaxis(
      qkv.reshape(b, t, height * width, 3, self.heads, size), 3, 0
    )
    r_q, r_k, r_v = (
      RelativePosition(c, self.heads, self.dtype, name=name)(
        positions, embedding
      )
      for name in ("rpe_q", "rpe_k", "rpe_v")
    )
    q = q * size**-0.5
    # (B, heads, places, query frames i, key frames j)
    logits = (
      jnp.einsum("bipnc,bjpnc->bnpij", q, k)
      + jnp.einsum("bipnc,bijnc->bnpij", q, r_k)
      + jnp.einsum("bjpnc,bjinc->bnpij", k * size**-0.5, r_q)
    )
    logits = jnp.where(
      together[:, None, None], logits.astype(jnp.float32), -jnp.inf
    )
    weights = jax.nn.softmax(logits, axis=-1).astype(self.dtype)
    h = jnp.einsum("bnpij,bjpnc->bipnc", weights, v) + jnp.einsum(
      "bnpij,bijnc->bipnc", weights, r_v
    )
    h = h.reshape(b, t, height * width, c)
    h = layers.dense(c, c, name="out", dtype=self.dtype, zero=True)(h)
    h += normed if self.residual_on_normed else flat
    return h.reshape(x.shape)

"""Transformer stacks over grids of tokens, after Phenaki.

They follow Villegas et al. 2023 and the details of the published PyTorch code.
A layer is [PEG], attention, feed-forward, each added to its input.
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo.models import attention, fusion, position

Over = Literal["space", "time", "all"]


class FeedForward(nn.Module):
  """LayerNorm, then value * GELU(gate), with exact GELU and no biases.

  The inner width is 8 D / 3, rounded down.

  Attributes:
    dtype: type of the arithmetic.
  """

  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "*S D"]) -> Float[Array, "*S D"]:
    """(..., D) -> the numbers to be added to it, of the same shape."""
    d = x.shape[-1]
    inner = 8 * d // 3
    h = attention.layer_norm(name="norm", bias=True)(x).astype(self.dtype)
    h = attention.linear(2 * inner, name="up", dtype=self.dtype)(h)
    value, gate = jnp.split(h, 2, axis=-1)
    h = value * nn.gelu(gate, approximate=False)
    return attention.linear(d, name="down", dtype=self.dtype)(h)


class Transformer(nn.Module):
  """`depth` layers and a final LayerNorm without bias.

  Attributes:
    depth: number of layers; 0 leaves the final LayerNorm.
    over: the tokens that attend to each other. `space`: all tokens of one time,
      with the bias given, without PEG. `time`: the tokens of one place, each to
      earlier tokens, with AliBi and a causal PEG. `all`: all tokens, with the
      bias given and a symmetric PEG.
    heads: number of heads.
    head_width: channels of a head.
    scrambled_peg: breaks causality, for comparison with weights and numbers of
      phenaki-pytorch (see `position.PEG`).
    remat: whether a layer is computed again for its gradient. Without it
      training keeps the weights of attention of all layers.
    dtype: type of the arithmetic; norms and softmax are float32.
  """

  depth: int
  over: Over
  heads: int = 8
  head_width: int = 64
  scrambled_peg: bool = False
  remat: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B T H W D"],
    bias: Float[Array, "{self.heads} N N"] | None = None,
  ) -> Float[Array, "B T H W D"]:
    """Runs the stack.

    Args:
      x: (B, T, H, W, D).
      bias: the bias of attention, (heads, N, N) with N = H W over `space`,
        T H W over `all`; None over `time`.

    Returns:
      (B, T, H, W, D) float32.
    """
    if self.over == "time":
      if bias is not None:
        raise ValueError("Over time the bias is AliBi; none can be given.")
      bias = jnp.asarray(position.causal_alibi(self.heads, x.shape[1]))
    x = x.astype(self.dtype)
    layer = Transformer._layer
    if self.remat:
      layer = nn.remat(layer, static_argnums=(3,))
    for i in range(self.depth):
      x = layer(self, x, bias, f"layer_{i}")
    return attention.layer_norm(name="norm", bias=False)(x)

  def _layer(self, x, bias, name):
    if self.over != "space":
      x += position.PEG(
        causal=self.over == "time",
        scrambled=self.scrambled_peg,
        dtype=self.dtype,
        name=f"{name}_peg",
      )(x)
      x = fusion.boundary(x)
    h = fold(x, self.over)  # (sequences, tokens, D)
    h += attention.CosineAttention(
      self.heads, self.head_width, self.dtype, name=f"{name}_attention"
    )(h, bias)
    h = fusion.boundary(h)
    h += FeedForward(self.dtype, name=f"{name}_feed_forward")(h)
    h = fusion.boundary(h)
    return unfold(h, self.over, x.shape)


def fold(x: Float[Array, "B T H W D"], over: Over) -> Float[Array, "S N D"]:
  """(B, T, H, W, D) -> (sequences, tokens, D)."""
  b, t, h, w, d = x.shape
  if over == "time":
    return x.transpose(0, 2, 3, 1, 4).reshape(b * h * w, t, d)
  return x.reshape(-1, h * w if over == "space" else t * h * w, d)


def unfold(
  x: Float[Array, "S N D"], over: Over, shape: tuple[int, ...]
) -> Float[Array, "B T H W D"]:
  """The inverse of `fold` for `shape`, (B, T, H, W, D)."""
  if over != "time":
    return x.reshape(shape)
  b, t, h, w, d = shape
  return x.reshape(b, h, w, t, d).transpose(0, 3, 1, 2, 4)

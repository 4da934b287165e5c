"""Cosine attention, as in the tokenizer and the token models after Phenaki.

Queries and keys have length one, so that logits are bounded (Henry et al.
2020). Parameters are float32; `dtype` is the type of the arithmetic, but
normalisation and softmax are always float32.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

LOGIT_SCALE = 8.0
"""Factor of the cosines, instead of 1 / sqrt(head width)."""


def linear(features: int, *, name: str, dtype: DTypeLike) -> nn.Dense:
  """A linear layer without bias over the last axis."""
  return nn.Dense(
    features,
    use_bias=False,
    kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    dtype=dtype,
    name=name,
  )


def layer_norm(*, name: str, bias: bool) -> nn.LayerNorm:
  """LayerNorm in float32 with PyTorch's epsilon, 1e-5 (Flax has 1e-6)."""
  return nn.LayerNorm(
    epsilon=1e-5,
    use_bias=bias,
    use_fast_variance=False,
    dtype=jnp.float32,
    name=name,
  )


def unit(x: Float[Array, "*S D"]) -> Float[Array, "*S D"]:
  """x / max(|x|, 1e-6) along the last axis, in float32.

  With a smaller bound the second derivatives, which the gradient penalty of
  discriminators needs, would overflow at short vectors.
  """
  x = x.astype(jnp.float32)
  squares = jnp.sum(x * x, axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))


class CosineAttention(nn.Module):
  """Multi-head self-attention over the tokens of a sequence.

  With q = gain_q unit(W_q norm(x)), k = gain_k unit(W_k x) and v = W_v x per
  head, the logits are 8 q.k + bias. Queries see the normalised input, keys and
  values the input as it is, like the published code of Phenaki. The gains are
  vectors that all heads share. No layer has a bias.

  Attributes:
    heads: number of heads.
    head_width: channels of a head; heads x head_width need not be D.
    dtype: type of the arithmetic (softmax in float32).
  """

  heads: int = 8
  head_width: int = 64
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B N D"],
    bias: Float[Array, "{self.heads} N N"] | None = None,
  ) -> Float[Array, "B N D"]:
    """Attends; the result is to be added to x.

    Args:
      x: (B, N, D).
      bias: (heads, N, N), added to the logit of query n and key m at [:, n, m];
        -inf forbids it.

    Returns:
      (B, N, D) of type `dtype`.
    """
    b, n, d = x.shape
    inner = self.heads * self.head_width
    normed = layer_norm(name="norm", bias=False)(x).astype(self.dtype)
    q = linear(inner, name="query", dtype=self.dtype)(normed)
    kv = linear(2 * inner, name="key_value", dtype=self.dtype)(x)
    # Each (B, N, heads, head_width).
    q = q.reshape(b, n, self.heads, self.head_width)
    k, v = jnp.moveaxis(kv.reshape(b, n, 2, self.heads, self.head_width), 2, 0)
    # The published network normalises the context of cross-attention with this
    # scale and has it, unread, in self-attention too. It is kept so that
    # parameter counts and weights correspond; its gradient is zero.
    self.param("context_scale", nn.initializers.ones_init(), (d,))
    q = self._with_gain("query_gain", LOGIT_SCALE * unit(q))
    k = self._with_gain("key_gain", unit(k))
    # (B, heads, queries, keys)
    logits = jnp.einsum(
      "bnhd,bmhd->bhnm", q, k, preferred_element_type=jnp.float32
    )
    if bias is not None:
      logits += bias[None]
    weights = jax.nn.softmax(logits, axis=-1).astype(self.dtype)
    h = jnp.einsum("bhnm,bmhd->bnhd", weights, v).reshape(b, n, inner)
    return linear(d, name="out", dtype=self.dtype)(h)

  def _with_gain(self, name: str, x: jax.Array) -> jax.Array:
    gain = self.param(name, nn.initializers.ones_init(), (self.head_width,))
    return (x * gain[None, None, None]).astype(self.dtype)

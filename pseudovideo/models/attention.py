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


@jax.custom_vjp
def products(
  queries: Float[Array, "*B N D"], keys: Float[Array, "*B M D"]
) -> Float[Array, "*B N M"]:
  """The inner products of all queries and keys: (..., N, M) float32."""
  return jnp.matmul(queries, keys.mT, preferred_element_type=jnp.float32)


def _products_gradient(kept, gradient):
  queries, keys = kept
  gradient = gradient.astype(queries.dtype)
  return gradient @ keys, _transposed_product(gradient, queries)


products.defvjp(
  lambda queries, keys: (products(queries, keys), (queries, keys)),
  _products_gradient,
)


@jax.custom_vjp
def mixed(
  logits: Float[Array, "*B N M"], values: Float[Array, "*B M D"]
) -> Float[Array, "*B N D"]:
  """Computes softmax(logits) values, with the softmax in float32.

  It is divided by the sums of the exponentials last, and so is its gradient:
  the N M numbers are passed over half as often as by `jax.nn.softmax` and its
  derivative, which matters where memory is slow.

  Args:
    logits: (..., N, M); -inf forbids a value.
    values: (..., M, D).

  Returns:
    (..., N, D) of the type of `values`.
  """
  return _mixed(logits, values)[0]


def _mixed(logits, values):
  logits = logits.astype(jnp.float32)
  powers = jnp.exp(logits - jnp.max(logits, -1, keepdims=True))
  sums = jnp.sum(powers, -1, keepdims=True)
  powers = powers.astype(values.dtype)
  sum_of_values = jnp.matmul(powers, values, preferred_element_type=jnp.float32)
  out = (sum_of_values / sums).astype(values.dtype)
  return out, (powers, sums, out, values)


def _mixed_gradient(kept, gradient):
  powers, sums, out, values = kept
  gradient = gradient.astype(jnp.float32) / sums
  mean = jnp.sum(gradient * out.astype(jnp.float32), -1, keepdims=True)
  gradient = gradient.astype(values.dtype)
  for_values = _transposed_product(powers, gradient)
  slopes = jnp.matmul(gradient, values.mT, preferred_element_type=jnp.float32)
  for_logits = powers.astype(jnp.float32) * (slopes - mean)
  return for_logits, for_values


mixed.defvjp(_mixed, _mixed_gradient)


def _transposed_product(x, y):
  """Computes x^T y. On CPUs XLA's product with a transpose is slower than its
  product with an array that was transposed before."""
  return jax.lax.platform_dependent(
    x,
    y,
    cpu=lambda x, y: jax.lax.optimization_barrier(x.mT) @ y,
    default=lambda x, y: x.mT @ y,
  )


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
    # Each (B, heads, N, head_width).
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    # The published network normalises the context of cross-attention with this
    # scale and has it, unread, in self-attention too. It is kept so that
    # parameter counts and weights correspond; its gradient is zero.
    self.param("context_scale", nn.initializers.ones_init(), (d,))
    q = self._with_gain("query_gain", LOGIT_SCALE * unit(q))
    k = self._with_gain("key_gain", unit(k))
    # (B, heads, queries, keys)
    logits = products(q, k)
    if bias is not None:
      logits += bias[None]
    h = mixed(logits, v).swapaxes(1, 2).reshape(b, n, inner)
    return linear(d, name="out", dtype=self.dtype)(h)

  def _with_gain(self, name: str, x: jax.Array) -> jax.Array:
    gain = self.param(name, nn.initializers.ones_init(), (self.head_width,))
    return (x * gain[None, None, None]).astype(self.dtype)

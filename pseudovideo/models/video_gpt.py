"""VideoGPT, which predicts each token of a grid from the tokens before it.

It follows Yan et al. 2021, with the details of the published PyTorch code and
the sizes of Table 8 of the pseudo-video paper. With a grid of one frame, (1, h,
w), it is ImageGPT. The N = t h w tokens are ordered by time, row, column. For
training and for likelihoods the network sees all of them at once; for sampling
it sees one after another, with the keys and values of earlier tokens in a
cache.
"""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Integer, Key

from pseudovideo import errors
from pseudovideo.fields import Codes, Count, Depth, Dtype, Share, Width
from pseudovideo.models import layers

LayerCache = tuple[Float[Array, "B heads _ c"], Float[Array, "B heads _ c"]]
Cache = tuple[LayerCache, ...]
"""Keys and values of every layer, (B, heads, length, width / heads) each."""


def log_likelihood(
  logits: Float[Array, "B N K"], ids: Integer[Array, "B N"]
) -> Float[Array, "B N"]:
  """log p(token n | tokens before it) of every token; minus it is the loss.

  Args:
    logits: (B, N, K), the output of `VideoGPT`.
    ids: (B, N) integers in 0 .. K - 1.

  Returns:
    (B, N) nats, float32; their sum over N is log p of the grid.
  """
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
  return jnp.take_along_axis(log_p, ids[..., None], axis=-1)[..., 0]


def grow_cache(cache: Cache, length: int) -> Cache:
  """A cache with room for `length` tokens, no fewer than it has."""

  def grown(part):
    new = (0, length - part.shape[2])
    return jnp.pad(part, ((0, 0), (0, 0), new, (0, 0)))

  return jax.tree.map(grown, cache)


class Norm(nn.Module):
  """(x - mean) (1 / std + 1e-5) scale + bias over the last axis, in float32.

  The published code adds the epsilon to the inverse, unlike LayerNorm.
  """

  @nn.compact
  def __call__(self, x: Float[Array, "*S D"]) -> Float[Array, "*S D"]:
    """(..., D) -> (..., D) float32."""
    shape = (*(1,) * (x.ndim - 1), x.shape[-1])
    scale = self.param("scale", nn.initializers.ones_init(), shape[-1:])
    bias = self.param("bias", nn.initializers.zeros_init(), shape[-1:])
    x = x.astype(jnp.float32)
    x -= jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(x * x, axis=-1, keepdims=True)
    # The bound only matters where all numbers are equal.
    x *= jax.lax.rsqrt(jnp.maximum(variance, 1e-20)) + 1e-5
    return x * scale.reshape(shape) + bias.reshape(shape)


class CausalAttention(nn.Module):
  """Multi-head attention of each token to itself and to earlier ones.

  Logits are q.k / sqrt(D / heads). One linear layer gives q, k and v: its 3 D
  channels are q | k | v, each split into heads.

  Attributes:
    width: D.
    heads: number of heads.
    depth: layers of the whole network; the output starts with standard
      deviation 1 / sqrt(depth D).
    dropout: rate of a zero among the weights.
    dtype: type of the arithmetic (softmax in float32).
  """

  width: int
  heads: int
  depth: int
  dropout: Share
  dtype: DTypeLike

  def setup(self):
    normal = nn.initializers.normal
    self.query_key_value = nn.Dense(
      3 * self.width,
      use_bias=False,
      kernel_init=normal(self.width**-0.5),
      dtype=self.dtype,
    )
    self.out = nn.Dense(
      self.width,
      kernel_init=normal((self.depth * self.width) ** -0.5),
      dtype=self.dtype,
    )
    self.weights_dropout = layers.ExampleDropout(self.dropout)

  def __call__(
    self, x: Float[Array, "B N D"], dropout_key: Key[Array, "..."] | None
  ) -> Float[Array, "B N D"]:
    """(B, N, D) -> the change of the residual stream, (B, N, D)."""
    n = x.shape[1]
    # Each (B, heads, N, D / heads).
    q, k, v = (part.swapaxes(1, 2) for part in self._heads(x))
    logits = jnp.einsum(
      "bhnd,bhmd->bhnm", q, k, preferred_element_type=jnp.float32
    )
    past = jnp.tril(jnp.ones((n, n), bool))
    weights = jax.nn.softmax(jnp.where(past[None, None], logits, -jnp.inf))
    weights = self.weights_dropout(weights, dropout_key).astype(self.dtype)
    h = jnp.einsum("bhnm,bhmd->bnhd", weights, v)
    return self.out(h.reshape(x.shape))

  def step(
    self,
    x: Float[Array, "B D"],
    cache: LayerCache,
    position: Int[Array, ""] | int,
  ) -> tuple[Float[Array, "B D"], LayerCache]:
    """Runs one position: (B, D) -> (B, D), and the filled cache."""
    q, *new = self._heads(x)  # each (B, heads, D / heads)
    start = (0, 0, position, 0)
    k, v = (
      jax.lax.dynamic_update_slice(old, part[:, :, None], start)
      for old, part in zip(cache, new, strict=True)
    )
    logits = jnp.einsum(
      "bhd,bhmd->bhm", q, k, preferred_element_type=jnp.float32
    )
    past = jnp.arange(k.shape[2]) <= position
    weights = jax.nn.softmax(jnp.where(past[None, None], logits, -jnp.inf))
    h = jnp.einsum("bhm,bhmd->bhd", weights.astype(self.dtype), v)
    return self.out(h.reshape(x.shape)), (k, v)

  def _heads(self, x):
    """(..., D) -> scaled q, k and v, each (..., heads, D / heads)."""
    size = self.width // self.heads
    parts = jnp.split(self.query_key_value(x), 3, axis=-1)
    q, k, v = (p.reshape(*x.shape[:-1], self.heads, size) for p in parts)
    return q * size**-0.5, k, v


class Block(nn.Module):
  """Attention, then two linear layers, each after a norm and with a residual.

  The linear layers are D -> 4 D -> D with x sigmoid(1.702 x) between. Dropout
  comes before the sum.

  Attributes:
    width: D.
    heads: number of heads.
    depth: layers of the whole network.
    dropout: rate of a zero in the changes of the residual stream.
    attention_dropout: rate of a zero among the weights of attention.
    dtype: type of the arithmetic; norms and softmax are float32.
  """

  width: int
  heads: int
  depth: int
  dropout: Share
  attention_dropout: Share
  dtype: DTypeLike

  def setup(self):
    d = self.width
    self.attention_norm = Norm()
    self.attention = CausalAttention(
      d, self.heads, self.depth, self.attention_dropout, self.dtype
    )
    self.attention_residual = layers.ExampleDropout(self.dropout)
    self.feed_forward_norm = Norm()
    self.up = layers.dense(4 * d, d, name="up", dtype=self.dtype)
    self.down = layers.dense(d, 4 * d, name="down", dtype=self.dtype)
    self.feed_forward_residual = layers.ExampleDropout(self.dropout)

  def __call__(
    self, x: Float[Array, "B N D"], dropout_key: Key[Array, "..."] | None
  ) -> Float[Array, "B N D"]:
    """(B, N, D) -> (B, N, D)."""
    h = self.attention_norm(x).astype(self.dtype)
    h = self.attention(h, dropout_key)
    x += self.attention_residual(h, dropout_key)
    return x + self.feed_forward_residual(self._feed_forward(x), dropout_key)

  def step(
    self,
    x: Float[Array, "B D"],
    cache: LayerCache,
    position: Int[Array, ""] | int,
  ) -> tuple[Float[Array, "B D"], LayerCache]:
    """Runs one position: (B, D) -> (B, D), and the filled cache."""
    h = self.attention_norm(x).astype(self.dtype)
    h, cache = self.attention.step(h, cache, position)
    x += h
    return x + self._feed_forward(x), cache

  def _feed_forward(self, x):
    h = self.up(self.feed_forward_norm(x).astype(self.dtype))
    return self.down(h * nn.sigmoid(1.702 * h))


class VideoGPT(nn.Module):
  """Predicts the logits of every token given the tokens before it.

  A learned start vector stands for the token before the first. To each of the
  N inputs is added its position, three learned vectors of D / 3 numbers for
  time, row and column, concatenated. Logits start at zero, so that all codes
  are equally likely.

  Attributes:
    grid: t, h, w.
    codes: K, ids are 0 .. K - 1.
    code_width: length of a code's vector, read by the embedding `codes` only.
    width: D over all heads, 144 in Table 8; 576 in the published code.
    layers: number of blocks.
    heads: attention heads.
    dropout: rate on the output of each half of a block.
    attention_dropout: rate on the weights of attention.
    embedding: `codes`: tokens are given as the tokenizer's vectors, which are
      not trained, and a linear layer without bias follows. `learned`: tokens
      are given as ids and have learned vectors of their own.
    remat: whether a block is computed again for its gradient. Without it
      training keeps the N^2 weights of attention of all layers.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
  """

  grid: tuple[Count, Count, Count] = (4, 8, 8)
  codes: Codes = 1024
  code_width: Width = 512
  width: Width = 144
  layers: Depth = 8
  heads: Width = 4
  dropout: Share = 0.2
  attention_dropout: Share = 0.3
  embedding: Literal["codes", "learned"] = "codes"
  remat: bool = False
  dtype: Dtype = "float32"

  def setup(self):
    dtype, normal = jnp.dtype(self.dtype), nn.initializers.normal
    self.embed: nn.Dense | nn.Embed
    if self.embedding == "codes":
      self.embed = nn.Dense(
        self.width, use_bias=False, kernel_init=normal(0.02), dtype=dtype
      )
    else:
      self.embed = nn.Embed(
        self.codes, self.width, embedding_init=normal(0.02), dtype=dtype
      )
    self.start = self.param("start", normal(0.02), (self.width,))
    self.places = [
      self.param(f"place_{axis}", normal(0.01), (side, self.width // 3))
      for axis, side in zip("thw", self.grid, strict=True)
    ]
    block = nn.remat(Block) if self.remat else Block
    self.block = [
      block(
        self.width,
        self.heads,
        self.layers,
        self.dropout,
        self.attention_dropout,
        dtype,
      )
      for _ in range(self.layers)
    ]
    self.norm = Norm()
    self.out = nn.Dense(
      self.codes,
      use_bias=False,
      kernel_init=nn.initializers.zeros_init(),
      dtype=dtype,
    )

  def __call__(
    self,
    tokens: Float[Array, "B N D"] | Integer[Array, "B N"],
    dropout_key: Key[Array, "..."] | None = None,
  ) -> Float[Array, "B N K"]:
    """The logits of all tokens.

    Args:
      tokens: (B, N, code_width) vectors, or (B, N) ids if `learned`; the last
        one is not read.
      dropout_key: PRNG key, scalar or (B,); None switches dropout off.

    Returns:
      (B, N, K) float32; [:, n] depends on tokens 0 .. n - 1 only.
    """
    num = tokens.shape[0]
    if tokens.shape[1] != self.num_tokens:
      raise ValueError(
        f"A grid {self.grid} has {self.num_tokens} tokens; got "
        f"{tokens.shape[1]}."
      )
    x = self._embedded(tokens)
    start = jnp.broadcast_to(self.start, (num, 1, self.width)).astype(x.dtype)
    x = jnp.concatenate([start, x[:, :-1]], axis=1)
    places = self._places(jnp.arange(self.num_tokens))
    x += places.astype(x.dtype)[None]
    for block in self.block:
      x = block(x, dropout_key)
    return self._logits(x)

  def step(
    self,
    cache: Cache,
    previous: Float[Array, "B D"] | Integer[Array, " B"],
    position: Int[Array, ""] | int,
  ) -> tuple[Float[Array, "B K"], Cache]:
    """The logits of one token, as `__call__` computes them without dropout.

    Args:
      cache: keys and values of the steps 0 .. position - 1, with room for one
        more token. The first is `empty_cache`, and `grow_cache` makes room.
        Attention goes over the whole length, with masks, so that unused room
        costs time.
      previous: (B, code_width) vectors of the tokens before, or (B,) ids if
        `learned`; not read at position 0.
      position: scalar, 0 .. N - 1.

    Returns:
      (B, K) float32, and the cache with this step.
    """
    x = self._embedded(previous)
    x = jnp.where(position == 0, self.start[None].astype(x.dtype), x)
    x += self._places(position).astype(x.dtype)[None]
    filled = []
    for block, layer_cache in zip(self.block, cache, strict=True):
      x, layer_cache = block.step(x, layer_cache, position)
      filled.append(layer_cache)
    return self._logits(x), tuple(filled)

  def _embedded(self, tokens):
    """Vectors (..., code_width), or ids (...) if `learned`, to (..., D)."""
    if self.embedding == "codes" and tokens.shape[-1] != self.code_width:
      raise ValueError(
        f"Codes are vectors of {self.code_width} numbers; got "
        f"{tokens.shape[-1]}."
      )
    return self.embed(tokens)

  def _logits(self, x):
    normed = self.norm(x).astype(self.dtype)
    return self.out(normed).astype(jnp.float32)

  def _places(self, position):
    """Positions (...) -> (..., D)."""
    _, h, w = self.grid
    index = (position // (h * w), position // w % h, position % w)
    rows = [table[i] for table, i in zip(self.places, index, strict=True)]
    return jnp.concatenate(rows, axis=-1)

  @property
  def num_tokens(self) -> int:
    """N."""
    return math.prod(self.grid)

  @nn.nowrap
  def empty_cache(self, num: int) -> Cache:
    """The cache of `num` grids before any step, with room for no token."""
    part = jnp.zeros(
      (num, self.heads, 0, self.width // self.heads), jnp.dtype(self.dtype)
    )
    return ((part, part),) * self.layers

  @nn.nowrap
  def check(self) -> None:
    """Refuses fields that cannot work together, before anything is compiled.

    Raises:
      UserError: names the fields, their values, and what is allowed.
    """
    if self.width % 3 or self.width % self.heads:
      raise errors.UserError(
        "model.width must be divisible by 3, the axes of the grid, and by "
        f"model.heads; got width={self.width}, heads={self.heads}."
      )

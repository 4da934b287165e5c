"""The masked token model of MaskGit (Chang et al. 2022) as in Phenaki.

Every token of a grid attends to every other, and the network names the codes of
those that are masked. Sizes and details are those of the published PyTorch code
of Phenaki (Villegas et al. 2023, Sec. 2.2) without text, and of Table 9 of the
pseudo-video paper.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from pseudovideo import errors
from pseudovideo.models import layers, position, sizes, transformer
from pseudovideo.models.unet import DTYPES

OFFSET_WIDTH = 64
"""Hidden width of the network that turns offsets into biases."""


def scale_gradient(x: jax.Array, scale: float) -> jax.Array:
  """x, unchanged, with `scale` times its gradient."""
  fixed = jax.lax.stop_gradient(x)
  return fixed + scale * (x - fixed)


class Output(nn.Module):
  """A linear layer whose result is float32.

  Attributes:
    features: numbers per token.
    dtype: type of the arithmetic.
  """

  features: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(..., D) -> (..., features)."""
    x = x.astype(self.dtype)
    x = layers.dense(
      self.features, x.shape[-1], name="linear", dtype=self.dtype
    )(x)
    return x.astype(jnp.float32)


class MaskGit(nn.Module):
  """Ids, some of them masked, to logits of all codes at all places.

  What is called in `init` has parameters: the output layer to codes with
  `__call__`, the one to scores with `scores`, both with `logits_and_scores`,
  for a network that is its own critic. A critic apart is `critic()`.

  Attributes:
    grid: (t, h, w) of the tokens; N is their number.
    codes: K; ids are 0 .. K - 1, and K is the mask.
    width: D.
    layers: of the transformer.
    heads: attention heads.
    head_width: channels of a head; heads x head_width need not be `width`.
    offset_bias: whether attention has a bias that a small network makes from
      the offset of two tokens in time and space; all layers share it.
    embedding_gradient: the gradient of the token and place tables is multiplied
      by this, in [0, 1], as in the published code; their values are not.
    remat: whether a layer is computed again for its gradient. Without it
      training keeps the N^2 weights of attention of all layers.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
  """

  grid: tuple[int, int, int] = (4, 8, 8)
  codes: int = 1024
  width: int = 512
  layers: int = 6
  heads: int = 8
  head_width: int = 64
  offset_bias: bool = True
  embedding_gradient: float = 0.1
  remat: bool = False
  dtype: str = "float32"

  def setup(self):
    dtype = jnp.dtype(self.dtype)
    normal = nn.initializers.normal(1.0)
    self.tokens = self.param("tokens", normal, (self.codes + 1, self.width))
    self.places = self.param("places", normal, (self.num_tokens, self.width))
    if self.offset_bias:
      self.position_bias = position.ContinuousPositionBias(
        self.heads, OFFSET_WIDTH
      )
    self.transformer = transformer.Transformer(
      self.layers,
      "all",
      self.heads,
      self.head_width,
      remat=self.remat,
      dtype=dtype,
    )
    self.to_logits = Output(self.codes, dtype)
    self.to_score = Output(1, dtype)

  def __call__(self, ids: jax.Array) -> jax.Array:
    """Logits of the code at every place, masked or not.

    Args:
      ids: (B, t, h, w) or (B, N) integers in 0 .. K, row-major; beyond K the
        result is NaN.

    Returns:
      (B, N, K) float32.

    Raises:
      ValueError: the ids are not of this grid.
    """
    return self.to_logits(self._features(ids))

  def scores(self, ids: jax.Array) -> jax.Array:
    """The critic's logits of a token being wrong: ids as above -> (B, N)."""
    return self.to_score(self._features(ids))[..., 0]

  def logits_and_scores(self, ids: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`__call__` and `scores` of the same ids, in one pass."""
    x = self._features(ids)
    return self.to_logits(x), self.to_score(x)[..., 0]

  def _features(self, ids):
    """What the transformer makes of ids, (B, N, D)."""
    grid = tuple(self.grid)
    if ids.shape[1:] not in (grid, (self.num_tokens,)):
      raise ValueError(
        f"Ids of the grid {grid} are (B, {self.num_tokens}) or (B, t, h, w); "
        f"got {ids.shape}."
      )
    ids = ids.reshape(len(ids), -1)
    x = jnp.take(self.tokens, ids, axis=0, mode="fill") + self.places[None]
    x = scale_gradient(x, self.embedding_gradient)
    bias = self.position_bias(grid) if self.offset_bias else None
    x = self.transformer(x.reshape(len(ids), *grid, self.width), bias)
    return x.reshape(*ids.shape, self.width)

  @property
  def num_tokens(self) -> int:
    """N."""
    return math.prod(self.grid)

  @nn.nowrap
  def critic(self) -> "MaskGit":
    """A network to be called by `scores` only, of the sizes of this one.

    As published it has no bias of attention, and all of its tables' gradient.
    """
    return self.clone(offset_bias=False, embedding_gradient=1.0)

  @nn.nowrap
  def check(self, grid: Sequence[int], codes: int) -> None:
    """Refuses fields that cannot work, or do not fit the tokens.

    Args:
      grid: (t, h, w) of the tokenizer.
      codes: its K.

    Raises:
      UserError: says which field, what it is, and what is allowed.
    """
    if self.dtype not in DTYPES:
      raise errors.unknown("model.dtype", self.dtype, DTYPES)
    sizes.check("model", self)
    for name in ("width", "layers", "heads", "head_width"):
      if getattr(self, name) < 1:
        raise errors.UserError(
          f"model.{name} must be at least 1; got {getattr(self, name)}."
        )
    if not 0 <= self.embedding_gradient <= 1:
      raise errors.UserError(
        "model.embedding_gradient must lie in [0, 1]; got "
        f"{self.embedding_gradient}."
      )
    if tuple(self.grid) != tuple(grid):
      raise errors.UserError(
        f"model.grid must be the grid of the tokenizer, {tuple(grid)}; got "
        f"{tuple(self.grid)}."
      )
    if self.codes != codes:
      raise errors.UserError(
        f"model.codes must be the number of codes of the tokenizer, {codes}; "
        f"got {self.codes}."
      )

"""The masked token model of MaskGit (Chang et al. 2022) as in Phenaki.

Every token of a grid attends to every other, and the network predicts the codes
of the masked tokens. Sizes and details follow the published PyTorch code of
Phenaki (Villegas et al. 2023, Sec. 2.2) without text, and Table 9 of the
pseudo-video paper.
"""

import math
from collections.abc import Sequence
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
from annotated_types import Ge, Le
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer

from pseudovideo import errors
from pseudovideo.fields import Codes, Count, Depth, Dtype, Width
from pseudovideo.models import layers, position, transformer

Ids = Integer[Array, "B t h w"] | Integer[Array, "B N"]

OFFSET_WIDTH = 64
"""Hidden width of the network that turns offsets into biases."""


def scale_gradient(x: Float[Array, "*S"], scale: float) -> Float[Array, "*S"]:
  """Returns x unchanged, with `scale` times its gradient."""
  fixed = jax.lax.stop_gradient(x)
  return fixed + scale * (x - fixed)


class Output(nn.Module):
  """A linear layer whose result is float32.

  Attributes:
    features: numbers per token.
    dtype: type of the arithmetic.
  """

  features: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "*S D"]
  ) -> Float[Array, "*S {self.features}"]:
    """(..., D) -> (..., features)."""
    x = x.astype(self.dtype)
    x = layers.dense(
      self.features, x.shape[-1], name="linear", dtype=self.dtype
    )(x)
    return x.astype(jnp.float32)


class MaskGit(nn.Module):
  """Predicts logits of all codes at all places, from partly masked ids.

  Output layers have parameters if `init` calls them: the layer of logits with
  `__call__`, the layer of scores with `scores`, both with `logits_and_scores`,
  for a network that is its own critic. A separate critic is `critic()`.

  Attributes:
    grid: (t, h, w) of the tokens; N is their number.
    codes: K; ids are 0 .. K - 1, and K is the mask.
    width: D.
    layers: layers of the transformer.
    heads: attention heads.
    head_width: channels of a head; heads x head_width need not be `width`.
    offset_bias: whether attention has a bias that a small network makes from
      the offset of two tokens in time and space; all layers share it.
    embedding_gradient: factor in [0, 1] of the gradient of the token and place
      tables, but not of their values, as in the published code.
    remat: whether a layer is computed again for its gradient. Without it
      training keeps the N^2 weights of attention of all layers.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
  """

  grid: tuple[Count, Count, Count] = (4, 8, 8)
  codes: Codes = 1024
  width: Width = 512
  layers: Depth = 6
  heads: Width = 8
  head_width: Width = 64
  offset_bias: bool = True
  embedding_gradient: Annotated[float, Ge(0), Le(1)] = 0.1
  remat: bool = False
  dtype: Dtype = "float32"

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

  def __call__(self, ids: Ids) -> Float[Array, "B N K"]:
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

  def scores(self, ids: Ids) -> Float[Array, "B N"]:
    """The critic's logits of a token being wrong: ids as above -> (B, N)."""
    return self.to_score(self._features(ids))[..., 0]

  def logits_and_scores(
    self, ids: Ids
  ) -> tuple[Float[Array, "B N K"], Float[Array, "B N"]]:
    """Runs `__call__` and `scores` of the same ids in one pass."""
    x = self._features(ids)
    return self.to_logits(x), self.to_score(x)[..., 0]

  def _features(self, ids):
    """The transformer's output for ids, (B, N, D)."""
    grid = tuple(self.grid)
    if ids.shape[1:] not in (grid, (self.num_tokens,)):
      raise ValueError(
        f"Ids of the grid {grid} are (B, {self.num_tokens}) or (B, t, h, w); "
        f"got {ids.shape}."
      )
    ids = ids.reshape(len(ids), -1)  # (B, N)
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
    """A network with the sizes of this one, to be called by `scores` only.

    Like the published critic it has no bias of attention, and its tables get
    their whole gradient.
    """
    return self.clone(offset_bias=False, embedding_gradient=1.0)

  @nn.nowrap
  def check(self, grid: Sequence[int], codes: int) -> None:
    """Refuses fields that do not fit the tokens.

    Args:
      grid: the tokenizer's (t, h, w).
      codes: its K.

    Raises:
      UserError: names the field, its value, and what is allowed.
    """
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

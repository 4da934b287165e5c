"""The base of models of a tokenizer's tokens (Sec. 3: Table 2).

The tokenizer is frozen, see `first_stage`.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from pseudovideo import keys, pixels
from pseudovideo.tasks import base, first_stage, video_tokenizer

IDS = "ids"


@dataclasses.dataclass(frozen=True)
class TokenizerSource(first_stage.Source):
  """Section `tokenizer`: the run whose tokens are learned.

  Attributes:
    tokens: folder that `python -m pseudovideo.tokenize` wrote for that run; if
      empty, the data set is encoded into the cache.
  """

  tokens: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenPrior(base.Defaults):
  """Base of tasks that model tokens; batches hold `ids`, (B, t, h, w).

  Attributes:
    image_shape: (H, W, C).
    coder: the tokenizer's task; follows from `tokenizer`.
    tokenizer: the tokenizer's run.
    model: the network; its `grid` and `codes` follow from the tokenizer.
    binarize: the same as the tokenizer's.
  """

  image_shape: tuple[int, int, int]
  coder: video_tokenizer.VideoTokenizer
  tokenizer: TokenizerSource
  model: nn.Module
  binarize: pixels.Binarize = "none"

  value_range = (0.0, 1.0)
  # Fields of the network that no config sets.
  derived: ClassVar[tuple[str, ...]] = ("grid", "codes")
  needs = ("tokenizer",)
  learns = IDS

  @property
  def num_tokens(self) -> int:
    """N, the tokens of an image's pseudo video."""
    t, h, w = self.coder.grid_shape
    return t * h * w

  @property
  def network(self) -> Any:
    """The network for the tokenizer's grid and codes."""
    return self.model.clone(
      grid=self.coder.grid_shape, codes=self.coder.num_codes
    )

  def check(self) -> None:
    """See `base.Task.check`."""
    first_stage.TOKENIZER.check(self.coder, self.binarize)

  def init(self, key, data, *, tokenizer):
    """See `base.Task.init`; the tokenizer's weights are in `extra`."""
    del data
    return self.init_params(key), base.make_extra(
      frozen={"tokenizer": tokenizer}
    )

  def pseudo_video(self, params, extra, images, *, key):
    """See `base.Task.pseudo_video`; the tokenizer's pseudo video."""
    del params
    coder = self.trained(extra)
    return coder.task.pseudo_video(coder.params, coder.extra, images, key=key)

  def sample(self, params, extra, *, key, num):
    """See `base.Task.sample`; clipped to [0, 1]."""
    ids = self.sample_ids(params, extra, key=key, num=num)
    return self.decode(extra, ids)

  def init_params(self, key) -> base.Params:
    """Parameters: the network's, below `network`, and any others."""
    raise NotImplementedError

  def sample_ids(self, params, extra, *, key, num):
    """Draws ids, (num, N) int32; row i depends on key i only."""
    raise NotImplementedError

  def decode(self, extra, ids):
    """Decodes ids (B, N) to videos (B, T, H, W, C) in [0, 1]."""
    coder = self.trained(extra)
    grids = ids.reshape(-1, *self.coder.grid_shape)
    video = coder.task.decode(coder.params, coder.extra, grids)
    return jnp.clip(video, 0.0, 1.0)

  def trained(self, extra) -> first_stage.Trained:
    """The tokenizer with the weights in `extra`."""
    return first_stage.trained(self.coder, extra["frozen"]["tokenizer"])


def flat_ids(batch: base.Batch) -> jax.Array:
  """The ids of a batch, (B, N) int32."""
  ids = batch[IDS]
  return ids.reshape(len(ids), -1).astype(jnp.int32)


def batch_keys(batch: base.Batch, key: jax.Array) -> jax.Array:
  """One key per example."""
  return keys.example_keys(key, len(batch[IDS]))

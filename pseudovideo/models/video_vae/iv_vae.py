"""IV-VAE: a video VAE with a key and a motion branch, causal in groups.

It follows "Improved video VAE for latent video diffusion model" (Wu et al.
2024) and its public inference code. The fields also make the networks that the
paper compares it with: a causal video VAE with the sizes of Wan's public VAE,
every step between the two, and the image VAE that both are inflated from.

  row                     branches       convolution   attention, rates
  image VAE               image          (none)        as the video VAE's
  causal baseline         motion         causal        ("middle",), ()
  + group causal          motion         group_causal  ("middle",), ()
  + key and motion (KTC)  key_motion     group_causal  ("middle",), ()
  + receptive field       key_motion     group_causal  all places and rates
  3-D and 3-D             motion_motion  group_causal  all places and rates
"""

import typing
from typing import Annotated, Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from annotated_types import Len
from jaxtyping import Array, Float

from pseudovideo import errors, shapes
from pseudovideo.fields import Count, Depth, Dtype, Width
from pseudovideo.models.unet import Multiplier
from pseudovideo.models.video_vae import blocks, branches, geometry, resampling
from pseudovideo.models.video_vae.blocks import Place
from pseudovideo.models.video_vae.branches import (
  BRANCHES,
  Branches,
  Convolution,
)

Multipliers = Annotated[tuple[Multiplier, ...], Len(2)]
LOG_VARIANCES = (-30.0, 20.0)


class Encoder(blocks.Levels):
  """Stem, levels of residual blocks, middle, head.

  Attributes:
    rates: dilations of the head; empty: the head is a plain 3x3 layer.
  """

  rates: tuple[int, ...]

  @nn.compact
  def __call__(
    self, x: Float[Array, "B T H W C"], first: bool
  ) -> Float[Array, "B t h w {self.features}"]:
    """(B, T, H, W, C) -> (B, t, h, w, features)."""
    design, last = self.design, len(self.widths) - 1
    group = geometry.temporal_factor(self.temporal)
    h = branches.Unit(design, self.widths[0], group, name="stem")(x, first)
    for level in range(last):
      for i in range(self.blocks):
        h = self.block(h, level, f"level_{level}_{i}", first)
      down = resampling.Downsample(
        design, self.temporal[level], name=f"level_{level}_down"
      )
      h = down(h, first)
    h = self.attend(h, "down", f"level_{last - 1}_down")
    for i in range(self.blocks):
      h = self.block(h, last, f"level_{last}_{i}", first)
      h = self.attend(h, "blocks", f"level_{last}_{i}")
    h = self.middle(h, first)
    h = blocks.NormSilu(design, name="norm")(h)
    if self.rates:
      head = blocks.ParallelDilated(
        design, self.features, self.rates, name="head"
      )
      return head(h)
    return branches.Unit(design, self.features, 1, name="head")(h, first)


class Decoder(blocks.Levels):
  """Stem, middle, levels of residual blocks from the deepest to 0, head."""

  @nn.compact
  def __call__(
    self, z: Float[Array, "B t h w Z"], first: bool
  ) -> Float[Array, "B T H W {self.features}"]:
    """(B, t, h, w, Z) -> (B, T, H, W, features), a video for each branch."""
    design, last = self.design, len(self.widths) - 1
    h = branches.Unit(design, self.widths[last], 1, name="stem")(z, first)
    h = self.middle(h, first)
    for level in reversed(range(last + 1)):
      for i in range(self.blocks):
        h = self.block(h, level, f"level_{level}_{i}", first)
        if level == last:
          h = self.attend(h, "blocks", f"level_{level}_{i}")
      if level > 0:
        up = resampling.Upsample(
          design, self.temporal[level - 1], name=f"level_{level}_up"
        )
        h = up(h, first)
    h = blocks.NormSilu(design, name="norm")(h)
    group = geometry.temporal_factor(self.temporal)
    head = branches.Unit(design, self.features, group, name="head")
    return head(h, first)


class IVVAE(nn.Module):
  """Encoder to Gaussian latents, and decoder.

  Frame 0 of a clip is a group of its own; then every f frames are a group, with
  f the temporal factor. Latent k sees the groups 0 .. k, and group k of the
  decoded frames sees the latents 0 .. k. An image is a clip of one frame, and
  clips of any length can be cut into chunks, see `cache`.

  Attributes:
    base: channels of the first level in each branch.
    latent_channels: Z, of all branches together.
    image_channels: C; None in a config: taken from the data.
    multipliers: factors of `base`, one per level; the sides halve between
      levels.
    blocks: residual blocks per level; the decoder has one more.
    temporal: whether time is halved too, one flag fewer than levels.
    branches: `image`, every frame by itself; `motion`, one branch with 3x3x3
      kernels; `key_motion`, a second branch with 3x3 kernels, which represents
      the first frame of each group; `motion_motion`, two branches with 3x3x3
      kernels. Two branches have twice the channels. Where a group is one frame,
      they share 3x3 kernels.
    convolution: `causal`, frames t - 2 to t, or `group_causal`, frames t - 1 to
      t + 1 up to the end of the group; not read if `branches` is `image`.
    attention: places, see `blocks.Place`. The published code has all of them;
      without `down` there are 7, as in the paper.
    rates: dilations of the encoder's last layer, beside a 1x1 kernel; empty:
      the last layer is a 3x3 layer.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
    remat: whether residual blocks and attention are computed again for their
      gradient. Without it training keeps all that is inside them.
  """

  base: Width = 64
  latent_channels: Width = 8
  image_channels: Count | None = 3
  multipliers: Multipliers = (1, 2, 4, 4)
  blocks: Depth = 2
  temporal: tuple[bool, ...] = (False, True, True)
  branches: Branches = "key_motion"
  convolution: Convolution = "group_causal"
  attention: tuple[Place, ...] = typing.get_args(Place)
  rates: tuple[Count, ...] = (1, 3, 6, 9, 12)
  dtype: Dtype = "float32"
  remat: bool = False

  def setup(self):
    dtype = jnp.dtype(self.dtype)
    design = branches.Design(self.branches, self.convolution, dtype, self.remat)
    num = len(design.names)
    z = self.latent_channels
    shared: dict[str, Any] = dict(
      design=design,
      widths=tuple(num * self.base * m for m in self.multipliers),
      temporal=self.temporal,
      attention=self.attention,
    )
    self.encoder = Encoder(
      **shared, blocks=self.blocks, rates=self.rates, features=2 * z
    )
    self.moments = branches.Pointwise(design, 2 * z)
    self.latents = branches.Pointwise(design, z)
    channels = shapes.known_channels(self.image_channels)
    self.decoder = Decoder(
      **shared, blocks=self.blocks + 1, features=num * channels
    )

  def __call__(
    self, video: Float[Array, "B T H W C"]
  ) -> Float[Array, "B T H W C"]:
    """(B, T, H, W, C) -> the reconstruction from the means of its latents."""
    means, _ = self.encode(video)
    return self.decode(means)

  def encode(
    self, video: Float[Array, "B T H W C"], first: bool = True
  ) -> tuple[Float[Array, "B t h w Z"], Float[Array, "B t h w Z"]]:
    """The distribution of the latents.

    Args:
      video: (B, T, H, W, C) in [-1, 1].
      first: whether the clip begins here. Then T is 1 + f n; in a later chunk,
        which needs the cache of `cache.encode`, T is f n.

    Returns:
      Means and log-variances, each (B, 1 + n, h, w, Z) (or n in a later chunk),
      float32, log-variances in [-30, 20]. With two branches the first Z/2
      channels belong to the key branch.

    Raises:
      UserError: an illegal number of frames or an illegal side.
    """
    self._check_video(video.shape[1:4], first)
    h = self.encoder(video.astype(self.dtype), first)
    h = self.moments(h).astype(jnp.float32)
    # (B, t, h, w, branches, 2, Z / branches): each branch has its means and
    # then its log-variances.
    parts = h.reshape(*h.shape[:-1], self._num_branches, 2, -1)
    shape = (*h.shape[:-1], self.latent_channels)
    means, log_variances = (parts[..., i, :].reshape(shape) for i in range(2))
    return means, jnp.clip(log_variances, *LOG_VARIANCES)

  def decode(
    self, latents: Float[Array, "B t h w Z"], first: bool = True
  ) -> Float[Array, "B T H W C"]:
    """Frames from latents.

    Args:
      latents: (B, t, h, w, Z).
      first: whether the clip begins here; a later chunk needs the cache of
        `cache.decode`.

    Returns:
      (B, T, H, W, C) float32, not clipped to [-1, 1]; T = 1 + f (t - 1), or
      f t in a later chunk. With two branches the key branch gives frame 0 and
      the first frame of each group, the motion branch the other frames.
    """
    h = self.latents(latents.astype(self.dtype))
    video = self.decoder(h, first).astype(jnp.float32)
    if self._num_branches == 1:
      return video
    key, motion = jnp.split(video, 2, axis=-1)
    # Counted from the end: the last frame of a chunk ends a group.
    factor = self.temporal_factor
    from_key = np.arange(video.shape[1])[::-1] % factor == factor - 1
    if first:
      from_key[0] = True
    return jnp.where(from_key[None, :, None, None, None], key, motion)

  @property
  def _num_branches(self) -> int:
    return len(BRANCHES[self.branches])

  @property
  def spatial_factor(self) -> int:
    """Side of a latent, in pixels."""
    return 2 ** (len(self.multipliers) - 1)

  @property
  def temporal_factor(self) -> int:
    """f, frames of a group."""
    return geometry.temporal_factor(self.temporal)

  @nn.nowrap
  def latent_shape(
    self, video_shape: tuple[int, int, int]
  ) -> tuple[int, int, int, int]:
    """(t, h, w, Z) of the latents of a clip of T, H, W.

    Raises:
      UserError: an illegal number of frames or an illegal side.
    """
    self._check_video(video_shape)
    frames, height, width = video_shape
    t = 1 + (frames - 1) // self.temporal_factor
    side = self.spatial_factor
    return t, height // side, width // side, self.latent_channels

  @nn.nowrap
  def check(self, image_shape: tuple[int, int, int], frames: int) -> None:
    """Refuses fields that cannot work together, before anything is compiled.

    Args:
      image_shape: (H, W, C) of a frame.
      frames: T.

    Raises:
      UserError: names the field, its value, and what is allowed.
    """
    self._check_levels()
    if image_shape[-1] != self.image_channels:
      raise errors.UserError(
        "model.image_channels must be the channels of the images, "
        f"{image_shape[-1]}; got {self.image_channels}."
      )
    _, height, width, _ = self.latent_shape((frames, *image_shape[:2]))
    self._check_rates(min(height, width))

  @nn.nowrap
  def _check_video(self, shape, first=True):
    frames, height, width = shape
    geometry.check_frames(frames, self.temporal_factor, first)
    geometry.check_sides(height, width, self.spatial_factor)

  @nn.nowrap
  def _check_levels(self):
    multipliers, temporal = self.multipliers, self.temporal
    geometry.check_levels(multipliers, temporal)
    if any(self.base * m % 2 for m in multipliers[1:]):
      raise errors.UserError(
        "model.base must be even, since the decoder halves channels; got "
        f"{self.base}."
      )
    two = self._num_branches == 2
    if two and self.latent_channels % 2:
      raise errors.UserError(
        "model.latent_channels must be even, half of them for each branch; got "
        f"{self.latent_channels}."
      )
    if two and not any(temporal):
      raise errors.UserError(
        f"model.branches={self.branches!r} needs a level that halves time; got "
        f"model.temporal={temporal}. Set a flag, or use one branch."
      )
    if self.branches == "image" and any(temporal):
      raise errors.UserError(
        "model.branches='image' sees frames one by one and cannot halve time; "
        f"got model.temporal={temporal}. Set all flags to False."
      )

  @nn.nowrap
  def _check_rates(self, side):
    if len(set(self.rates)) < len(self.rates):
      raise errors.UserError(
        f"model.rates must differ from each other; got {self.rates}."
      )
    alive = geometry.rates_below(self.rates, side)
    if alive != tuple(self.rates):
      raise errors.UserError(
        f"model.rates must be below the side of the latents, {side}, behind "
        f"which kernels see padding only; got {self.rates}: use {alive}."
      )

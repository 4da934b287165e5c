"""IV-VAE: a video VAE with a key and a motion branch, causal in groups.

After "Improved video VAE for latent video diffusion model" (Wu et al. 2024)
and its public inference code. The fields also make what the paper compares it
with: a causal video VAE, whose sizes are those of Wan's public one, every step
between the two, and the image VAE that both are inflated from.

  row                     branches       convolution   attention, rates
  image VAE               image          (none)        as the video VAE's
  causal baseline         motion         causal        ("middle",), ()
  + group causal          motion         group_causal  ("middle",), ()
  + key and motion (KTC)  key_motion     group_causal  ("middle",), ()
  + receptive field       key_motion     group_causal  all places and rates
  3-D and 3-D             motion_motion  group_causal  all places and rates
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors
from pseudovideo.models import sizes
from pseudovideo.models.unet import DTYPES
from pseudovideo.models.video_vae import branches, decoder, encoder, geometry
from pseudovideo.models.video_vae.branches import BRANCHES, CONVOLUTIONS

ATTENTION = ("down", "blocks", "middle")
"""Places of attention, all on latent-sized maps: behind the last Downsample
(one place), behind each deepest residual block of encoder and decoder
(2 `blocks` + 1 places), in the middle of both (two places)."""
LOG_VARIANCES = (-30.0, 20.0)


class IVVAE(nn.Module):
  """Encoder to Gaussian latents, and decoder.

  Frame 0 of a clip is a group of its own; then every f frames are, f the
  temporal factor. Latent k sees the groups 0 .. k, and group k of the decoded
  frames sees the latents 0 .. k. An image is a clip of one frame, and clips of
  any length can be cut into chunks, see `cache`.

  Attributes:
    base: channels of the first level in each branch.
    latent_channels: Z, of all branches together.
    image_channels: C.
    multipliers: factors of `base`, one per level; the sides halve in between.
    blocks: residual blocks per level; the decoder has one more.
    temporal: whether time is halved too, one flag fewer than levels.
    branches: `image`, every frame by itself; `motion`, one branch with 3x3x3
      kernels; `key_motion`, a second one with 3x3 kernels, which represents the
      first frame of each group; `motion_motion`, the same with 3x3x3 kernels in
      both. Two branches have twice the channels. Where a group is one frame,
      they share 3x3 kernels.
    convolution: `causal`, frames t - 2 to t, or `group_causal`, frames t - 1 to
      t + 1 up to the end of the group; not read if `branches` is `image`.
    attention: places of `ATTENTION`. The published code has all; without `down`
      there are the 7 of the paper.
    rates: dilations of the encoder's last layer, beside a 1x1 kernel; empty: it
      is a 3x3 layer.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
    remat: whether residual blocks and attention are computed again for their
      gradient. Without it training keeps all that is inside them.
  """

  base: int = 64
  latent_channels: int = 8
  image_channels: int = 3
  multipliers: tuple[int, ...] = (1, 2, 4, 4)
  blocks: int = 2
  temporal: tuple[bool, ...] = (False, True, True)
  branches: str = "key_motion"
  convolution: str = "group_causal"
  attention: tuple[str, ...] = ATTENTION
  rates: tuple[int, ...] = (1, 3, 6, 9, 12)
  dtype: str = "float32"
  remat: bool = False

  def setup(self):
    dtype = jnp.dtype(self.dtype)
    design = branches.Design(self.branches, self.convolution, dtype, self.remat)
    num = len(design.names)
    z = self.latent_channels
    shared = dict(
      design=design,
      widths=tuple(num * self.base * m for m in self.multipliers),
      temporal=self.temporal,
      attention=self.attention,
    )
    self.encoder = encoder.Encoder(
      **shared, blocks=self.blocks, rates=self.rates, features=2 * z
    )
    self.moments = branches.Pointwise(design, 2 * z)
    self.latents = branches.Pointwise(design, z)
    self.decoder = decoder.Decoder(
      **shared, blocks=self.blocks + 1, features=num * self.image_channels
    )

  def __call__(self, video: jax.Array) -> jax.Array:
    """(B, T, H, W, C) -> the reconstruction from the means of its latents."""
    means, _ = self.encode(video)
    return self.decode(means)

  def encode(
    self, video: jax.Array, first: bool = True
  ) -> tuple[jax.Array, jax.Array]:
    """The distribution of the latents.

    Args:
      video: (B, T, H, W, C) in [-1, 1].
      first: whether the clip begins here. T is 1 + f n then, and f n in a later
        chunk, which needs the cache of `cache.encode`.

    Returns:
      Means and log-variances, each (B, 1 + n, h, w, Z) (or n in a later chunk),
      float32, log-variances in [-30, 20]. Of two branches the first Z/2
      channels are the key's.

    Raises:
      UserError: an illegal number of frames or an illegal side.
    """
    self._check_video(video.shape[1:4], first)
    h = self.encoder(video.astype(self.dtype), first)
    h = self.moments(h).astype(jnp.float32)
    # Each branch has its means and then its log-variances.
    parts = h.reshape(*h.shape[:-1], self._num_branches, 2, -1)
    shape = (*h.shape[:-1], self.latent_channels)
    means, log_variances = (parts[..., i, :].reshape(shape) for i in range(2))
    return means, jnp.clip(log_variances, *LOG_VARIANCES)

  def decode(self, latents: jax.Array, first: bool = True) -> jax.Array:
    """Frames from latents.

    Args:
      latents: (B, t, h, w, Z).
      first: whether the clip begins here; a later chunk needs the cache of
        `cache.decode`.

    Returns:
      (B, T, H, W, C) float32, not clipped to [-1, 1]; T = 1 + f (t - 1), or
      f t in a later chunk. Of two branches the key branch gives frame 0 and the
      first of each group, the motion branch the others.
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
    """Pixels of a latent's side."""
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
      UserError: says which field, what it is, and what is allowed.
    """
    for name, allowed in (
      ("branches", BRANCHES),
      ("convolution", CONVOLUTIONS),
      ("dtype", DTYPES),
    ):
      if getattr(self, name) not in allowed:
        raise errors.unknown(f"model.{name}", getattr(self, name), allowed)
    for place in self.attention:
      if place not in ATTENTION:
        raise errors.unknown("place in model.attention", place, ATTENTION)
    sizes.check("model", self)
    for name in ("base", "latent_channels", "blocks"):
      if getattr(self, name) < 1:
        raise errors.UserError(
          f"model.{name} must be at least 1; got {getattr(self, name)}."
        )
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
    if alive != tuple(self.rates) or min(self.rates, default=1) < 1:
      raise errors.UserError(
        f"model.rates must be 1 or more and below the side of the latents, "
        f"{side}, behind which kernels see padding only; got {self.rates}: use "
        f"{tuple(rate for rate in alive if rate > 0)}."
      )

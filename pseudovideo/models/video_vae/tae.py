"""Movie Gen's temporal autoencoder (TAE), for clips of any length.

It follows "Movie Gen: a cast of media foundation models" (Polyak et al. 2024)
as the lecture on it quotes it: an image VAE, inflated by a convolution over
time behind each spatial convolution and by attention over time behind each
spatial attention, with the end frames repeated as padding. Time is halved by
stride 2 and doubled by repetition and convolution; decoded frames beyond the
clip's end are dropped.

The quotation leaves the rest open. The rest is taken from the image VAE of
`iv_vae`, so that both designs can be inflated from one: norms see neither time
nor places, attention is in the middle alone, and 1x1 shortcuts have no
convolution over time. Layers over time start as identities: for each of the
frames f k to f k + f - 1, an inflated network decodes frame f k of the clip, as
the image VAE does.

Nothing here is causal: every latent depends on all frames, every frame on all
latents, and a clip cannot be cut into chunks.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax import traverse_util
from jaxtyping import Array, Float

from pseudovideo import errors, shapes
from pseudovideo.fields import Count, Depth, Dtype, Width
from pseudovideo.models.video_vae import branches, geometry, iv_vae, tae_layers


class TAE(nn.Module):
  """Encoder to Gaussian latents, and decoder.

  An image is a clip of one frame. A clip of equal frames has the image's
  latents, repeated.

  Attributes:
    base: channels of the first level.
    latent_channels: Z.
    image_channels: C; None in a config: taken from the data.
    multipliers: factors of `base`, one per level; the sides halve between
      levels.
    blocks: residual blocks per level; the decoder has one more.
    temporal: whether time is halved too, one flag fewer than levels.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
    remat: whether residual blocks and attention are computed again for their
      gradient. Without it training keeps all that is inside them.
  """

  base: Width = 128
  latent_channels: Width = 16
  image_channels: Count | None = 3
  multipliers: iv_vae.Multipliers = (1, 2, 4, 4)
  blocks: Depth = 2
  temporal: tuple[bool, ...] = (True, True, True)
  dtype: Dtype = "float32"
  remat: bool = False

  def setup(self):
    design = branches.Design(
      "image", "causal", jnp.dtype(self.dtype), self.remat
    )
    shared: dict[str, Any] = dict(
      design=design,
      widths=tuple(self.base * m for m in self.multipliers),
      temporal=self.temporal,
    )
    self.encoder = tae_layers.Encoder(
      **shared, blocks=self.blocks, features=2 * self.latent_channels
    )
    self.moments = branches.Pointwise(design, 2 * self.latent_channels)
    self.latents = branches.Pointwise(design, self.latent_channels)
    self.decoder = tae_layers.Decoder(
      **shared,
      blocks=self.blocks + 1,
      features=shapes.known_channels(self.image_channels),
    )

  def __call__(
    self, video: Float[Array, "B T H W C"]
  ) -> Float[Array, "B T H W C"]:
    """(B, T, H, W, C) -> the reconstruction from the means of its latents."""
    means, _ = self.encode(video)
    return self.decode(means, video.shape[1])

  def encode(
    self, video: Float[Array, "B T H W C"]
  ) -> tuple[Float[Array, "B t h w Z"], Float[Array, "B t h w Z"]]:
    """The distribution of the latents.

    Args:
      video: (B, T, H, W, C) in [-1, 1], T >= 1.

    Returns:
      Means and log-variances, each (B, ceil(T / f), h, w, Z) float32, f the
      temporal factor, log-variances in [-30, 20].

    Raises:
      UserError: an illegal side.
    """
    _, frames, height, width, _ = video.shape
    self.latent_shape((frames, height, width))
    h = self.encoder(video.astype(self.dtype))
    h = self.moments(h).astype(jnp.float32)
    means, log_variances = jnp.split(h, 2, axis=-1)
    return means, jnp.clip(log_variances, *iv_vae.LOG_VARIANCES)

  def decode(
    self, latents: Float[Array, "B t h w Z"], frames: int | None = None
  ) -> Float[Array, "B T H W C"]:
    """Frames from latents.

    Args:
      latents: (B, t, h, w, Z).
      frames: T of the clip, f (t - 1) < T <= f t; None: T = f t. The frames
        behind the first T are dropped.

    Returns:
      (B, T, H, W, C) float32, not clipped to [-1, 1].

    Raises:
      ValueError: clips of `frames` have another number of latents.
    """
    most = latents.shape[1] * self.temporal_factor
    frames = most if frames is None else frames
    if not most - self.temporal_factor < frames <= most:
      raise ValueError(
        f"{latents.shape[1]} latents stand for {most} frames or up to "
        f"{self.temporal_factor - 1} fewer; got {frames}."
      )
    h = self.latents(latents.astype(self.dtype))
    return self.decoder(h)[:, :frames].astype(jnp.float32)

  @property
  def spatial_factor(self) -> int:
    """Side of a latent, in pixels."""
    return 2 ** (len(self.multipliers) - 1)

  @property
  def temporal_factor(self) -> int:
    """f, frames of a latent."""
    return geometry.temporal_factor(self.temporal)

  @nn.nowrap
  def latent_shape(
    self, video_shape: tuple[int, int, int]
  ) -> tuple[int, int, int, int]:
    """(t, h, w, Z) of the latents of a clip of T, H, W.

    Raises:
      UserError: no frames, or an illegal side.
    """
    frames, height, width = video_shape
    if frames < 1:
      raise errors.UserError(
        f"A clip has one frame or more; got {frames} frames."
      )
    geometry.check_sides(height, width, self.spatial_factor)
    t = geometry.halved(frames, sum(self.temporal))
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
    geometry.check_levels(self.multipliers, self.temporal)
    image_vae(self).check(image_shape, frames)


def image_vae(net: TAE) -> iv_vae.IVVAE:
  """The image VAE that `net` can be inflated from."""
  return iv_vae.IVVAE(
    base=net.base,
    latent_channels=net.latent_channels,
    image_channels=net.image_channels,
    multipliers=net.multipliers,
    blocks=net.blocks,
    temporal=(False,) * len(net.temporal),
    branches="image",
    attention=("middle",),
    rates=(),
    dtype=net.dtype,
    remat=net.remat,
  )


def inflate(
  image_params: Mapping[str, Any], params: Mapping[str, Any]
) -> dict[str, Any]:
  """Parameters of a TAE that treats frames as an image VAE does.

  Args:
    image_params: trained parameters of `image_vae(net)`.
    params: parameters of `net`, from `net.init`.

  Returns:
    `params` with the image VAE's arrays in all layers within frames.

  Raises:
    UserError: the parameters belong to another image VAE.
  """
  spatial = traverse_util.flatten_dict(dict(image_params))
  target = traverse_util.flatten_dict(dict(params))
  within = {path: p for path, p in target.items() if not _over_time(path)}
  for path in sorted(within.keys() | spatial.keys()):
    given, needed = (
      jnp.shape(tree[path]) if path in tree else "absent"
      for tree in (spatial, within)
    )
    if given != needed:
      raise errors.UserError(
        f"The parameter {'/'.join(path)!r} is {given} in the image VAE and "
        f"{needed} in the TAE; train one with the fields of "
        "`tae.image_vae(net)`."
      )
  return traverse_util.unflatten_dict(target | spatial)


def _over_time(path: tuple[str, ...]) -> bool:
  return any(part.endswith(tae_layers.TIME) for part in path)

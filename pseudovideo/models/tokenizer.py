"""The network of the video tokenizer: C-ViViT, or VQ-VAE for one frame.

It follows Phenaki (Villegas et al. 2023, Sec. 2.1) and its published PyTorch
code, with the sizes of Tables 7 to 9 of the pseudo-video paper. The encoder
cuts the video into patches and runs a transformer over space, then one over
time. The decoder runs one over time, then one over space, and a linear layer
makes the patches. The quantizer between encoder and decoder is in `quantizers`.
"""

import math
from typing import Annotated, Literal

import flax.linen as nn
import jax.numpy as jnp
from annotated_types import Ge, Le, Len
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pseudovideo import errors, shapes
from pseudovideo.fields import Count, Depth, Dtype, Width
from pseudovideo.models import attention, layers, position, transformer

HEADS = ("image_head", "tubelet_head")
"""Names of the layers that end in pixels. A network has one or both, and the
last of them makes the last frame. The kernel is
`params[name]["linear"]["kernel"]`."""

Patch = Annotated[tuple[Count, ...], Len(3, 3)]
"""Frames, rows and columns."""


def patchify(
  video: Float[Array, "B T H W C"], patch: Patch
) -> Float[Array, "B t h w D"]:
  """Cuts a video into blocks that do not overlap.

  Args:
    video: (B, T, H, W, C).
    patch: frames, rows and columns of a block, p, q, r.

  Returns:
    (B, T/p, H/q, W/r, C p q r); the numbers of a block are ordered by channel,
    then time, row, column.
  """
  b, t, h, w, c = video.shape
  p, q, r = patch
  x = video.reshape(b, t // p, p, h // q, q, w // r, r, c)
  x = x.transpose(0, 1, 3, 5, 7, 2, 4, 6)  # (B, T/p, H/q, W/r, C, p, q, r)
  return x.reshape(b, t // p, h // q, w // r, c * p * q * r)


def unpatchify(
  blocks: Float[Array, "B t h w D"], patch: Patch
) -> Float[Array, "B T H W C"]:
  """The inverse of `patchify`: (B, t, h, w, C p q r) -> (B, T, H, W, C)."""
  b, t, h, w, size = blocks.shape
  p, q, r = patch
  c = size // math.prod(patch)
  x = blocks.reshape(b, t, h, w, c, p, q, r)
  x = x.transpose(0, 1, 5, 2, 6, 3, 7, 4)  # (B, t, p, h, q, w, r, C)
  return x.reshape(b, t * p, h * q, w * r, c)


class Stem(nn.Module):
  """Patches, LayerNorm, linear, LayerNorm.

  Attributes:
    width: D.
    patch: frames, rows and columns of a patch.
    normalised: whether there is the first LayerNorm.
    dtype: type of the linear layer.
  """

  width: int
  patch: Patch
  normalised: bool = True
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, video: Float[Array, "B T H W C"]
  ) -> Float[Array, "B t h w {self.width}"]:
    """(B, T, H, W, C) -> (B, t, h, w, D) float32."""
    x = patchify(video, self.patch)
    if self.normalised:
      x = attention.layer_norm(name="norm_in", bias=True)(x)
    x = layers.dense(self.width, x.shape[-1], name="linear", dtype=self.dtype)(
      x.astype(self.dtype)
    )
    return attention.layer_norm(name="norm_out", bias=True)(x)


class Head(nn.Module):
  """A linear layer to the pixels of a patch.

  Attributes:
    channels: C.
    patch: frames, rows and columns of a patch.
    dtype: type of the linear layer.
  """

  channels: int
  patch: Patch
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "B t h w D"]
  ) -> Float[Array, "B T H W {self.channels}"]:
    """(B, t, h, w, D) -> (B, T, H, W, C) float32."""
    size = self.channels * math.prod(self.patch)
    x = layers.dense(size, x.shape[-1], name="linear", dtype=self.dtype)(
      x.astype(self.dtype)
    )
    return unpatchify(x.astype(jnp.float32), self.patch)


class Tokenizer(nn.Module):
  """Encoder and decoder between videos and grids of vectors.

  Latents are causal in time: a latent sees no later frame.

  Attributes:
    frames: T, the frames of a video.
    channels: C, the channels of a frame; None in a config: taken from the data.
    patch: frames, rows and columns of a patch.
    width: D.
    heads: attention heads.
    head_width: channels of a head; heads x head_width need not be `width`.
    spatial_layers: layers over space, in the encoder and in the decoder.
    temporal_layers: layers over time, in the encoder and in the decoder; with 0
      each stack over time is a LayerNorm.
    grid: `tubelets`: every patch has `patch[0]` frames, T is a multiple of it.
      `first_frame`: the first frame has patches of its own, as in Phenaki, T is
      1 more than a multiple. A single frame (T = 1) is cut in the same way
      with both.
    normalised_patches: whether a LayerNorm over the numbers of each patch comes
      first, as in Phenaki. It removes the mean and the scale of a patch, and
      with them the brightness and contrast, which a single image shows nowhere
      else; blurred frames carry them across the borders of patches.
    scrambled_peg: breaks causality, for comparison with weights and numbers of
      phenaki-pytorch (see `position.PEG`).
    remat: whether a layer is computed again for its gradient. Without it
      training keeps the weights of attention of all layers.
    dtype: `float32` or `bfloat16`, the type of the arithmetic; parameters stay
      float32.
  """

  frames: Count = 8
  channels: Width | None = 3
  patch: Patch = (2, 4, 4)
  width: Width = 512
  heads: Width = 8
  head_width: Width = 64
  spatial_layers: Depth = 4
  temporal_layers: Annotated[int, Ge(0), Le(1000)] = 4
  grid: Literal["tubelets", "first_frame"] = "tubelets"
  normalised_patches: bool = True
  scrambled_peg: bool = False
  remat: bool = False
  dtype: Dtype = "float32"

  def setup(self):
    dtype = jnp.dtype(self.dtype)
    image = (1, *self.patch[1:])

    def stack(depth, over):
      return transformer.Transformer(
        depth,
        over,
        heads=self.heads,
        head_width=self.head_width,
        scrambled_peg=self.scrambled_peg,
        remat=self.remat,
        dtype=dtype,
      )

    # Of the stems and heads of images and of tubelets, only the ones that the
    # grid needs are ever called and so have parameters.
    norm = self.normalised_patches
    self.image_stem = Stem(self.width, image, norm, dtype)
    self.tubelet_stem = Stem(self.width, self.patch, norm, dtype)
    self.position_bias = position.ContinuousPositionBias(self.heads, self.width)
    self.encoder_space = stack(self.spatial_layers, "space")
    self.encoder_time = stack(self.temporal_layers, "time")
    self.decoder_time = stack(self.temporal_layers, "time")
    self.decoder_space = stack(self.spatial_layers, "space")
    channels = shapes.known_channels(self.channels)
    self.image_head = Head(channels, image, dtype)
    self.tubelet_head = Head(channels, self.patch, dtype)

  def __call__(
    self, video: Float[Array, "B T H W C"]
  ) -> Float[Array, "B T H W C"]:
    """(B, T, H, W, C) -> its reconstruction without a quantizer."""
    return self.decode(self.encode(video))

  def encode(
    self, video: Float[Array, "B T H W C"]
  ) -> Float[Array, "B t h w D"]:
    """(B, T, H, W, C) in [0, 1] -> latents (B, t, h, w, D), float32.

    (t, h, w) is `grid_shape`. They are the output of the last LayerNorm.
    """
    alone = self._frames_alone()
    parts = []  # along time
    if alone:
      parts.append(self.image_stem(video[:, :alone]))
    if video.shape[1] > alone:
      parts.append(self.tubelet_stem(video[:, alone:]))
    x = jnp.concatenate(parts, axis=1)
    x = self.encoder_space(x, self.position_bias(x.shape[2:4]))
    return self.encoder_time(x)

  def decode(
    self, latents: Float[Array, "B t h w D"]
  ) -> Float[Array, "B T H W C"]:
    """(B, t, h, w, D) -> (B, T, H, W, C) float32, not clipped to [0, 1]."""
    return self.to_pixels(self.decode_features(latents))

  def decode_features(
    self, latents: Float[Array, "B t h w D"]
  ) -> Float[Array, "B t h w D"]:
    """Runs `decode` without the head: (B, t, h, w, D) -> (B, t, h, w, D)."""
    x = self.decoder_time(latents)
    return self.decoder_space(x, self.position_bias(x.shape[2:4]))

  def to_pixels(
    self, features: Float[Array, "B t h w D"]
  ) -> Float[Array, "B T H W C"]:
    """Runs the head alone: (B, t, h, w, D) -> (B, T, H, W, C) float32."""
    alone = self._frames_alone()
    parts = []
    if alone:
      parts.append(self.image_head(features[:, :alone]))
    if features.shape[1] > alone:
      parts.append(self.tubelet_head(features[:, alone:]))
    return jnp.concatenate(parts, axis=1)

  @nn.nowrap
  def _frames_alone(self) -> int:
    return int(self.frames == 1 or self.grid == "first_frame")

  @nn.nowrap
  def grid_shape(
    self, image_shape: tuple[int, int, int]
  ) -> tuple[int, int, int]:
    """(t, h, w) of the latents of `frames` images (H, W, C)."""
    alone = self._frames_alone()
    p, q, r = self.patch
    t = alone + (self.frames - alone) // p
    return t, image_shape[0] // q, image_shape[1] // r

  @nn.nowrap
  def check(self, image_shape: tuple[int, int, int]) -> None:
    """Refuses fields that cannot work together, before anything is compiled.

    Args:
      image_shape: (H, W, C) of a frame.

    Raises:
      UserError: names the field, its value, and what is allowed.
    """
    p, q, r = self.patch
    height, width, channels = image_shape
    if (self.frames - self._frames_alone()) % p:
      other = "tubelets" if self.grid == "first_frame" else "first_frame"
      few, many = {
        "tubelets": (f"a multiple of {p}", f"1 more than a multiple of {p}"),
        "first_frame": (f"1 more than a multiple of {p}", f"a multiple of {p}"),
      }[self.grid]
      raise errors.UserError(
        f"With model.grid={self.grid!r} and model.patch={self.patch} the number"
        f" of frames must be {few} (or 1); got {self.frames} frames. Change it,"
        f" or set model.grid={other!r}, which takes {many}."
      )
    if height % q or width % r:
      raise errors.UserError(
        f"model.patch={self.patch} needs images whose height is divisible by "
        f"{q} and width by {r}; got {height}x{width}. Use another patch or "
        "another image size."
      )
    if channels != self.channels:
      raise errors.UserError(
        "model.channels must be the channels of the images, "
        f"{channels}; got {self.channels}."
      )

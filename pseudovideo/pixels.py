"""Converts uint8 images to floats and back; nothing else does.

Works on jax and numpy arrays alike, inside jit or outside.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, UInt8

from pseudovideo import errors, keys
from pseudovideo.shapes import AnyArray

ValueRange = tuple[float, float]

Binarize = Literal["none", "bernoulli", "threshold"]
BINARIZE = get_args(Binarize)


def to_float(
  images: UInt8[AnyArray, "*rest"], value_range: ValueRange
) -> Float32[Array, "*rest"]:
  """Floats of 8-bit pixels; 0 becomes value_range[0], 255 value_range[1].

  Raises:
    ValueError: images of another type.
  """
  if images.dtype != jnp.uint8:
    raise ValueError(f"Images outside a model are uint8; got {images.dtype}.")
  low, high = value_range
  return jnp.float32(low) + images.astype(jnp.float32) * jnp.float32(
    (high - low) / 255
  )


class Quantized(NamedTuple):
  """8-bit pixels, and which images they may be shown of.

  Attributes:
    images: (B, ...) uint8.
    finite: (B,) bool; where False, the pixels say nothing.
  """

  images: UInt8[Array, " B *rest"]
  finite: Bool[Array, " B"]


def quantize(
  images: Float[AnyArray, " B *rest"], value_range: ValueRange
) -> Quantized:
  """8-bit pixels of floats in `value_range`, clipped and rounded to nearest.

  Inside of jit, where nothing can be refused; `checked` does that outside.
  Other implementations truncate instead, which darkens every image by half a
  grey level.
  """
  low, high = value_range
  images = images.astype(jnp.float32)
  scaled = (images - low) * (255 / (high - low))
  finite = jnp.isfinite(images).reshape(len(images), -1).all(1)
  rounded = jnp.clip(jnp.round(scaled), 0, 255).astype(jnp.uint8)
  return Quantized(rounded, finite)


def checked(quantized: Quantized, first: int = 0) -> np.ndarray:
  """The pixels, on the host.

  Args:
    quantized: the result of `quantize`.
    first: number of the first image, for the error.

  Raises:
    RunError: an image is not finite; names it.
  """
  bad = np.flatnonzero(~np.asarray(quantized.finite))
  if bad.size:
    raise errors.RunError(
      f"Image {first + bad[0]} has values that are not finite, as {bad.size} "
      f"of {len(quantized.finite)} images have: the weights have exploded, or "
      "the sampler does not fit them. Take an earlier checkpoint with --step, "
      "or train with a lower optimizer.learning_rate."
    )
  return np.asarray(quantized.images)


def to_uint8(
  images: Float[AnyArray, " B *rest"], value_range: ValueRange
) -> UInt8[np.ndarray, " B *rest"]:
  """8-bit pixels of floats in `value_range`, clipped and rounded to nearest.

  It is the inverse of `to_float`: a uint8 image survives the round trip
  unchanged. Outside of jit; see `quantize`.

  Raises:
    RunError: an image is not finite; names it.
  """
  return checked(quantize(images, value_range))


def binarize(
  images: UInt8[AnyArray, " B *rest"],
  how: str,
  *,
  key: keys.Keys | None = None,
) -> UInt8[Array, " B *rest"]:
  """Black-and-white images, of pixels that are 0 or 255.

  Args:
    images: grey values.
    how: `none` returns the images; `bernoulli` draws each pixel white with
      probability grey/255 (Salimans et al. 2015 and others); `threshold` makes
      pixels >= 128 white.
    key: scalar or (B,) keys, needed by `bernoulli` only.

  Raises:
    UserError: unknown `how`.
  """
  if how == "none":
    return jnp.asarray(images)
  if how == "threshold":
    return jnp.where(images >= 128, 255, 0).astype(jnp.uint8)
  if how == "bernoulli":
    if key is None:
      raise ValueError("Stochastic binarization needs a key.")
    grey = images.astype(jnp.float32) / 255
    white = keys.uniform(key, images.shape) < grey
    return jnp.where(white, 255, 0).astype(jnp.uint8)
  raise errors.unknown("binarization", how, BINARIZE)


def fixed_binarization(
  images: UInt8[np.ndarray, "N H W C"], how: str, split: str
) -> UInt8[np.ndarray, "N H W C"]:
  """The images of a split, binarized by one draw that never changes.

  Args:
    images: grey values.
    how: see `binarize`.
    split: `train` or `test`, which are drawn independently.
  """
  if how == "none":
    return images
  key = keys.named(jax.random.key(0), split)
  return np.asarray(binarize(jnp.asarray(images), how, key=key))

"""uint8 images to floats and back: the only place that converts.

Works on jax and numpy arrays alike, inside jit or outside.
"""

import jax
import jax.numpy as jnp

from pseudovideo import errors, keys

ValueRange = tuple[float, float]

BINARIZE = ("none", "bernoulli", "threshold")


def to_float(images: jax.Array, value_range: ValueRange) -> jax.Array:
  """uint8 0..255 -> float32; 0 maps to value_range[0], 255 to [1]."""
  if images.dtype != jnp.uint8:
    raise ValueError(f"Images outside a model are uint8; got {images.dtype}.")
  low, high = value_range
  return jnp.float32(low) + images.astype(jnp.float32) * jnp.float32(
    (high - low) / 255
  )


def to_uint8(images: jax.Array, value_range: ValueRange) -> jax.Array:
  """Floats in value_range -> uint8, clipped and rounded to nearest.

  The inverse of `to_float`: a uint8 image survives the round trip unchanged.
  Clips values outside the range. (The peers truncate instead, which darkens
  every image by half a grey level.)
  """
  low, high = value_range
  scaled = (images.astype(jnp.float32) - low) * (255 / (high - low))
  return jnp.clip(jnp.round(scaled), 0, 255).astype(jnp.uint8)


def binarize(
  images: jax.Array, how: str, *, key: jax.Array | None = None
) -> jax.Array:
  """Black-and-white images, as uint8 0 or 255.

  Args:
    images: (B, H, W, C) uint8.
    how: `none` returns the images; `bernoulli` draws each pixel white with
      probability grey/255 (Salimans et al. 2015 and others); `threshold` makes
      pixels >= 128 white.
    key: scalar or (B,) keys, needed by `bernoulli` only.

  Raises:
    UserError: unknown `how`.
  """
  if how == "none":
    return images
  if how == "threshold":
    return jnp.where(images >= 128, 255, 0).astype(jnp.uint8)
  if how == "bernoulli":
    if key is None:
      raise ValueError("Stochastic binarization needs a key.")
    grey = images.astype(jnp.float32) / 255
    white = keys.uniform(key, images.shape) < grey
    return jnp.where(white, 255, 0).astype(jnp.uint8)
  raise errors.unknown("binarization", how, BINARIZE)

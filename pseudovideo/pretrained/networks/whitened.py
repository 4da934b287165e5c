"""A small classifier of colour images, behind a whitening of their patches.

After Jordan (2024, arXiv:2404.00498): patches of 2x2 pixels are whitened, then
come blocks of two 3x3 convolutions with GELU, pooled after the first of each.
There is no batch statistic: `whitened_training` folds those of training into
kernels and biases, so that an image's features depend on that image only.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

VALUE_RANGE = (-1.0, 1.0)
"""The range of the pixels."""
PATCH = 2
"""Side of the patches that are whitened, in pixels."""
# Logits are small at first.
LOGIT_SCALE = 1 / 9

Normalize = Callable[[str, jax.Array], jax.Array]


def apply(
  params: Mapping[str, Any], x: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Features and logits, each the mean over an image and its mirror image.

  Args:
    params: what `whitened_training.train` returns.
    x: (B, H, W, C) float32 in `VALUE_RANGE`.

  Returns:
    Features (B, D) and logits (B, K).
  """
  features = (look(params, x) + look(params, x[:, :, ::-1])) / 2
  return features, logits(params, features)


def look(
  params: Mapping[str, Any],
  x: jax.Array,
  normalize: Normalize = lambda name, x: x,
) -> jax.Array:
  """Features (B, D) of images as they are.

  Args:
    params: see `apply`.
    x: see `apply`.
    normalize: normalization of what a layer of that name gives, before its bias
      is added; none after training.
  """
  whiten = params["whiten"]
  x = _convolve(x, whiten["kernel"], "VALID")
  x = jax.nn.gelu(x + _broadcast(whiten["bias"]))
  for name in layers(sum(name.startswith("block") for name in params) // 2):
    x = _convolve(x, params[name]["kernel"], "SAME")
    if name.endswith("a"):
      x = _max_pool(x)
    x = jax.nn.gelu(normalize(name, x) + _broadcast(params[name]["bias"]))
  return x.max((1, 2))


def logits(params: Mapping[str, Any], features: jax.Array) -> jax.Array:
  """Logits (B, K) of features (B, D)."""
  kernel = params["logits"]["kernel"]
  return LOGIT_SCALE * jnp.matmul(features, kernel, precision="highest")


def layers(blocks: int) -> list[str]:
  """Names of the convolutions behind the whitening, in their order."""
  return [f"block{block}{half}" for block in range(blocks) for half in "ab"]


def _convolve(x: jax.Array, kernel: jax.Array, padding: str) -> jax.Array:
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (1, 1),
    padding,
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    precision="highest",
  )


def _broadcast(bias: jax.Array) -> jax.Array:
  return bias.reshape(1, 1, 1, -1)


def _max_pool(x: jax.Array) -> jax.Array:
  """Maxima of 2x2 places; the last place of an odd side is left out."""
  batch, height, width, channels = x.shape
  x = x[:, : height // 2 * 2, : width // 2 * 2]
  x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
  return x.max((2, 4))

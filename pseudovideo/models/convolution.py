"""The convolution that all trained networks share: a fast form on CPUs.

XLA's own form is a good one on accelerators. On CPUs it reaches the speed of
matrix products in the forward pass only; the gradient of the weights runs at
half of it, and nothing uses fewer multiplications than the definition. So 3x3
convolutions that are large enough to pay for it run as `winograd`, in both
directions, and 1x1 convolutions as matrix products. Measurements are in
docs/costs.md.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pseudovideo.models import winograd

MIN_CHANNELS = 48
MIN_FLOPS = 2.5e8
"""Below either the plain form is as fast, or so short that compilation costs
more than it saves."""

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolution(
  lhs: Float[Array, "B H W C"],
  rhs: Float[Array, "..."],
  window_strides: Any,
  padding: Any,
  **options: Any,
) -> Float[Array, "B h w D"]:
  """Computes what `jax.lax.conv_general_dilated` does, faster where it can.

  It is meant for `flax.linen.Conv(conv_general_dilated=...)`. Only float32 on
  CPUs is treated in another way; results agree to rounding.

  Args:
    lhs: (B, H, W, C).
    rhs: (k, k, C, D), the kernel.
    window_strides: steps of both axes.
    padding: zeros before and after each axis.
    **options: other arguments of `jax.lax.conv_general_dilated`.

  Returns:
    (B, h, w, D).
  """

  def plain(x, kernel):
    return lax.conv_general_dilated(
      x, kernel, window_strides, padding, **options
    )

  if not _is_simple(lhs, rhs, window_strides, options):
    return plain(lhs, rhs)
  ends = {end for pair in padding for end in pair}
  if rhs.shape[:2] == (1, 1) and ends == {0}:
    return lax.platform_dependent(lhs, rhs, cpu=pointwise, default=plain)
  if rhs.shape[:2] == (3, 3) and ends == {1} and is_large(lhs.shape, rhs.shape):
    return conv3x3(lhs, rhs)
  return plain(lhs, rhs)


def _is_simple(x, kernel, strides, options) -> bool:
  steps = [*strides]
  for side in ("lhs", "rhs"):
    steps += options.get(f"{side}_dilation") or ()
  return (
    x.dtype == kernel.dtype == jnp.float32
    and x.ndim == 4
    and set(steps) == {1}
    and options.get("feature_group_count", 1) == 1
    and options.get("batch_group_count", 1) == 1
    and options.get("precision") is None
  )


def is_large(x: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
  """Whether a 3x3 convolution of these shapes takes the fast form on CPUs."""
  flops = 2 * math.prod(x[:3]) * math.prod(kernel)
  return min(kernel[2:]) >= MIN_CHANNELS and flops >= MIN_FLOPS


def pointwise(
  x: Float[Array, "B H W C"], kernel: Float[Array, "1 1 C D"]
) -> Float[Array, "B H W D"]:
  """A 1x1 convolution as one matrix product."""
  y = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]
  return y.reshape(*x.shape[:-1], -1)


@jax.custom_vjp
def conv3x3(
  x: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C D"]
) -> Float[Array, "B H W D"]:
  """A convolution with stride 1 and one zero around: (B, H, W, D)."""
  return lax.platform_dependent(
    x, kernel, cpu=winograd.convolve, default=plain_conv3x3
  )


@jax.custom_vjp
def input_gradient(
  dy: Float[Array, "B H W D"], kernel: Float[Array, "3 3 C D"]
) -> Float[Array, "B H W C"]:
  """The gradient of sum(dy * conv3x3(x, kernel)) for x: (B, H, W, C)."""
  return lax.platform_dependent(
    dy, kernel, cpu=winograd.input_gradient, default=plain_input_gradient
  )


@jax.custom_vjp
def weight_gradient(
  x: Float[Array, "B H W C"], dy: Float[Array, "B H W D"]
) -> Float[Array, "3 3 C D"]:
  """The gradient of sum(dy * conv3x3(x, kernel)) for the kernel."""
  return lax.platform_dependent(
    x, dy, cpu=winograd.weight_gradient, default=plain_weight_gradient
  )


# Each of the three is linear in both of its arguments, and its gradients are
# the two others: derivatives of any order are as fast as the first.
conv3x3.defvjp(
  lambda x, kernel: (conv3x3(x, kernel), (x, kernel)),
  lambda kept, dy: (input_gradient(dy, kept[1]), weight_gradient(kept[0], dy)),
)
input_gradient.defvjp(
  lambda dy, kernel: (input_gradient(dy, kernel), (dy, kernel)),
  lambda kept, dx: (conv3x3(dx, kept[1]), weight_gradient(dx, kept[0])),
)
weight_gradient.defvjp(
  lambda x, dy: (weight_gradient(x, dy), (x, dy)),
  lambda kept, dk: (input_gradient(kept[1], dk), conv3x3(kept[0], dk)),
)


def plain_conv3x3(x, kernel):
  """XLA's form of `conv3x3`."""
  pad = ((1, 1), (1, 1))
  return lax.conv_general_dilated(
    x, kernel, (1, 1), pad, dimension_numbers=_LAYOUT
  )


def plain_input_gradient(dy, kernel):
  """XLA's form of `input_gradient`."""
  shape = jax.ShapeDtypeStruct((*dy.shape[:3], kernel.shape[2]), dy.dtype)
  (dx,) = jax.linear_transpose(lambda x: plain_conv3x3(x, kernel), shape)(dy)
  return dx


def plain_weight_gradient(x, dy):
  """XLA's form of `weight_gradient`."""
  shape = jax.ShapeDtypeStruct((3, 3, x.shape[-1], dy.shape[-1]), x.dtype)
  (dk,) = jax.linear_transpose(lambda k: plain_conv3x3(x, k), shape)(dy)
  return dk

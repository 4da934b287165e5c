"""The shared parts of augmentations: fields, filters, the last frame."""

import dataclasses
from typing import Annotated

import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Array, Float32, Float64

from pseudovideo import fields
from pseudovideo.errors import UserError
from pseudovideo.shapes import AnyArray

Frames = Annotated[int, Ge(1), Le(1000)]


@dataclasses.dataclass(frozen=True)
class Corruption:
  """The base of every augmentation that makes frames out of the image.

  Attributes:
    frames: T, at least 2, of which the last is the image.

  Raises:
    UserError: a field out of its range, or fields that do not go together.
  """

  frames: Frames = 8

  def __post_init__(self):
    fields.check(self, "augmentation")
    if self.frames == 1:
      raise UserError(
        "augmentation.frames must be at least 2, the last of which is the "
        "image; got 1. For one frame choose the augmentation 'identity'."
      )
    self.check()

  def check(self) -> None:
    """Raises `UserError` for fields that do not go together."""


def check_order(low_name: str, low: float, high_name: str, high: float) -> None:
  """Refuses a range whose lower end is above the upper.

  Raises:
    UserError: names both fields.
  """
  if low > high:
    raise UserError(
      f"augmentation.{low_name} must not be above augmentation.{high_name}; "
      f"got {low} and {high}."
    )


def check_images(images: AnyArray) -> None:
  """Refuses what is no batch of float32 images.

  Raises:
    ValueError: images of another type or rank.
  """
  if images.dtype != jnp.float32 or images.ndim != 4:
    raise ValueError(
      f"An augmentation takes float32 images (B, H, W, C); got "
      f"{images.dtype}{list(images.shape)}. pseudovideo.pixels.to_float "
      f"converts uint8."
    )


def append_image(
  corrupted: Float32[AnyArray, "B K H W C"],
  images: Float32[AnyArray, "B H W C"],
) -> Float32[Array, "B K+1 H W C"]:
  """The video whose last frame is the image itself, bit for bit.

  Args:
    corrupted: the K = T - 1 other frames, the most corrupted one first.
    images: clean images, in the range of `corrupted`.

  Returns:
    Videos of T frames.

  Raises:
    ValueError: see `check_images`.
  """
  check_images(images)
  return jnp.concatenate([corrupted, images[:, None]], axis=1)


def filter_axes(
  images: Float32[AnyArray, "B H W C"],
  rows: Float64[np.ndarray, "K H H"],
  columns: Float64[np.ndarray, "K W W"],
) -> Float32[Array, "B K H W C"]:
  """K separable linear filters at once, rows_k @ image @ columns_k^T each.

  In full float32 on every device: TF32 or bfloat16 products would blur by
  themselves.

  Args:
    images: what is filtered.
    rows: matrices that act along the height.
    columns: matrices that act along the width.

  Returns:
    K filtered images of each image.
  """
  rows, columns = rows.astype("f4"), columns.astype("f4")
  # n and m are the new places along the height and the width.
  tall = jnp.einsum("knh,bhwc->bknwc", rows, images, precision="highest")
  return jnp.einsum("kmw,bknwc->bknmc", columns, tall, precision="highest")

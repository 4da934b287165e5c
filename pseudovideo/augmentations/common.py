"""What the augmentations share: checks of fields, filters, the last frame."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo.errors import UserError

MAX_FRAMES = 1000


def check_frames(frames: int) -> None:
  """Refuses a number of frames that leaves nothing to corrupt, or too many.

  Raises:
    UserError: not an integer of 2 to `MAX_FRAMES`.
  """
  if isinstance(frames, bool) or not isinstance(frames, int) or frames < 2:
    raise UserError(
      f"A pseudo video has an integer number of frames, 2 or more, the last "
      f"of which is the image; got frames={frames!r}. For one frame choose "
      f"the augmentation 'identity'."
    )
  check_most(frames)


def check_most(frames: int) -> None:
  """Refuses more frames than `MAX_FRAMES`.

  Raises:
    UserError: says how many there may be.
  """
  if frames > MAX_FRAMES:
    raise UserError(
      f"augmentation.frames must be at most {MAX_FRAMES}; got {frames}."
    )


def check_between(
  low_name: str,
  low: float,
  high_name: str,
  high: float,
  *,
  below: float = math.inf,
) -> None:
  """Refuses a range of positive numbers that is not one.

  Raises:
    UserError: not 0 < low <= high < below.
  """
  numbers = all(
    isinstance(value, int | float) and not isinstance(value, bool)
    for value in (low, high)
  )
  if not numbers or not 0 < low <= high < below:
    limit = "finite" if below == math.inf else f"below {below:g}"
    raise UserError(
      f"{low_name} and {high_name} are positive numbers, {low_name} not above "
      f"{high_name}, both {limit}; got {low_name}={low!r}, "
      f"{high_name}={high!r}."
    )


def append_image(corrupted: jax.Array, images: jax.Array) -> jax.Array:
  """The video whose last frame is the image itself, bit for bit.

  Args:
    corrupted: (B, T - 1, H, W, C) float32, the most corrupted frame first.
    images: (B, H, W, C) float32.

  Returns:
    (B, T, H, W, C) float32.

  Raises:
    ValueError: images of another type or rank.
  """
  if images.dtype != jnp.float32 or images.ndim != 4:
    raise ValueError(
      f"An augmentation takes float32 images (B, H, W, C); got "
      f"{images.dtype}{list(images.shape)}. pseudovideo.pixels.to_float "
      f"converts uint8."
    )
  return jnp.concatenate([corrupted, images[:, None]], axis=1)


def filter_axes(
  images: jax.Array, rows: np.ndarray, columns: np.ndarray
) -> jax.Array:
  """K separable linear filters at once, rows_k @ image @ columns_k^T each.

  In full float32 on every device: TF32 or bfloat16 products would blur by
  themselves.

  Args:
    images: (B, H, W, C) float32.
    rows: (K, H, H), acts along the height.
    columns: (K, W, W), acts along the width.

  Returns:
    (B, K, H, W, C) float32.
  """
  rows, columns = np.float32(rows), np.float32(columns)
  tall = jnp.einsum("knh,bhwc->bknwc", rows, images, precision="highest")
  return jnp.einsum("kmw,bknwc->bknmc", columns, tall, precision="highest")

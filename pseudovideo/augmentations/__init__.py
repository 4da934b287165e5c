"""From an image to a pseudo video: the corruptions.

An augmentation is a frozen dataclass that is called as

  video = augmentation(images, key=key)    (B, H, W, C) -> (B, T, H, W, C)

with float32 images. Frame 0 is the most corrupted, `video[:, -1]` is the image
bit for bit, and `augmentation.frames` is T. It is pure JAX and belongs inside
the jitted training step. Deterministic ones need no key and ignore it.

To add one: write such a class and name it in `TABLE`.
"""

import dataclasses
from typing import Protocol

import jax

from pseudovideo import errors
from pseudovideo.augmentations import blur, heat, identity, noise


class Augmentation(Protocol):
  """What every entry of `TABLE` makes."""

  frames: int

  def __call__(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
    """(B, H, W, C) float32, scalar or (B,) keys -> (B, T, H, W, C)."""


TABLE = {
  "identity": identity.Identity,
  "first_order": noise.FirstOrder,
  "high_order": noise.HighOrder,
  "matched_snr": noise.MatchedSNR,
  "blur": blur.Blur,
  "high_order_blur": blur.HighOrderBlur,
  "heat": heat.Heat,
}


def make(name: str, **fields: object) -> Augmentation:
  """The augmentation `name` with the given fields, the others at default.

  Raises:
    UserError: unknown name or field, or a value out of its range.
  """
  kind = errors.look_up("augmentation", name, TABLE)
  allowed = [field.name for field in dataclasses.fields(kind)]
  for field in fields:
    if field not in allowed:
      raise errors.unknown(f"field of augmentation {name!r}", field, allowed)
  return kind(**fields)

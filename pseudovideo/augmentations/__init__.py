"""Corruptions: from an image to a pseudo video.

An augmentation is a frozen dataclass that is called as

  video = augmentation(images, key=key)    (B, H, W, C) -> (B, T, H, W, C)

with float32 images. Frame 0 is the most corrupted, `video[:, -1]` is the image
bit for bit, and `augmentation.frames` is T. It is pure JAX and belongs inside
the jitted training step. Deterministic ones need no key and ignore it.

To add one: write such a class and name it in `TABLE`.

May import small things (`errors` to `shapes`) only.
"""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float32

from pseudovideo import errors, fields, keys
from pseudovideo.augmentations import blur, heat, identity, noise
from pseudovideo.shapes import AnyArray


@runtime_checkable
class Augmentation(Protocol):
  """An augmentation: what every entry of `TABLE` makes."""

  @property
  def frames(self) -> int:
    """T, the number of frames, the image included."""

  def __call__(
    self, images: Float32[AnyArray, "B H W C"], *, key: keys.Keys
  ) -> Float32[Array, "B T H W C"]:
    """The pseudo videos of the images."""


TABLE: dict[str, type] = {
  "identity": identity.Identity,
  "first_order": noise.FirstOrder,
  "high_order": noise.HighOrder,
  "matched_snr": noise.MatchedSNR,
  "matched_information": noise.MatchedInformation,
  "blur": blur.Blur,
  "high_order_blur": blur.HighOrderBlur,
  "heat": heat.Heat,
}


def make(name: str, **values: Any) -> Augmentation:
  """The augmentation `name` with the given fields, the others at default.

  Raises:
    UserError: unknown name or field, or a value out of its range.
  """
  kind = errors.look_up("augmentation", name, TABLE)
  return kind(**fields.read_section(kind, values, "augmentation"))

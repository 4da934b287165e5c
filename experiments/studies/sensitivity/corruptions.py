"""Changes of held-out images, and of the choice of them, in rising strength."""

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import PIL.Image
import scipy.ndimage
from jaxtyping import Int, UInt8

from pseudovideo.data.image_set import ImageSet

Images = UInt8[np.ndarray, "N H W C"]
CLEAN, TRAINING = "clean", "training"


@dataclasses.dataclass(frozen=True)
class Corruption:
  """A change of pixels.

  Attributes:
    strengths: its strengths, the weakest first.
    apply: (images, strength, rng) -> images; the same rng gives the same draws
      for all strengths, so that they are nested.
  """

  strengths: tuple[float, ...]
  apply: Callable[[Images, float, np.random.Generator], Images]


def _rounded(images: np.ndarray) -> Images:
  return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def noise(images: Images, strength: float, rng: np.random.Generator) -> Images:
  """Adds Gaussian noise of this standard deviation, in grey values."""
  draw = rng.standard_normal(images.shape, np.float32)
  return _rounded(images + strength * draw)


def blur(images: Images, strength: float, rng: np.random.Generator) -> Images:
  """Blurs with a Gaussian of this standard deviation, in pixels."""
  del rng
  sigmas = (0, strength, strength, 0)
  return _rounded(
    scipy.ndimage.gaussian_filter(images.astype(np.float32), sigmas)
  )


def contrast(
  images: Images, strength: float, rng: np.random.Generator
) -> Images:
  """Takes 1 - strength of the distance of pixels from their image's mean."""
  del rng
  mean = images.mean((1, 2, 3), keepdims=True)
  return _rounded(mean + (1 - strength) * (images - mean))


def jpeg(images: Images, strength: float, rng: np.random.Generator) -> Images:
  """Saves as JPEG of quality 100 - strength, and reads again."""
  del rng
  found = np.empty_like(images)
  for place, image in enumerate(images):
    file = io.BytesIO()
    PIL.Image.fromarray(image.squeeze()).save(
      file, "JPEG", quality=round(100 - strength)
    )
    found[place] = np.asarray(PIL.Image.open(file)).reshape(image.shape)
  return found


CORRUPTIONS = {
  "noise": Corruption((4, 8, 16), noise),
  "blur": Corruption((0.4, 0.6, 0.9), blur),
  "contrast": Corruption((0.2,), contrast),
  "JPEG": Corruption((25,), jpeg),
}
# Changes of which images there are: classes left out, shares of the set.
CHOICES = {
  "classes dropped": (1, 2),
  "duplicates": (0.1, 0.5),
  "memorised": (0.5, 1.0),
}


@dataclasses.dataclass(frozen=True)
class Part:
  """Images of one pool: its key, and places in it."""

  pool: str
  places: Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Condition:
  """A set that is scored, and the number of clean images to compare with.

  Attributes:
    name: a key of `CORRUPTIONS` or `CHOICES`, or `clean`.
    strength: 0 for clean images.
    parts: the images.
  """

  name: str
  strength: float
  parts: tuple[Part, ...]

  @property
  def num(self) -> int:
    return sum(len(part.places) for part in self.parts)


def pool_name(name: str, strength: float) -> str:
  """The key of held-out images that are corrupted so."""
  return f"{name} {strength:g}"


def corrupted(images: Images, seed: int) -> Mapping[str, Callable[[], Images]]:
  """The pools of images by key, each made when it is called."""
  made: dict[str, Callable[[], Images]] = {CLEAN: lambda: images}
  for name, corruption in CORRUPTIONS.items():
    for strength in corruption.strengths:

      def make(corruption=corruption, strength=strength) -> Images:
        return corruption.apply(images, strength, np.random.default_rng(seed))

      made[pool_name(name, strength)] = make
  return made


def conditions(image_set: ImageSet, num: int, seed: int) -> list[Condition]:
  """All sets of `num` images, and clean ones of the sizes that occur.

  Without enough images of the other classes, fewer are in the set that lacks
  some classes, and beside it are as few clean ones.

  Args:
    image_set: its held-out images and labels.
    num: images of each set, at most as many as are held out.
    seed: seed of the order of the images.
  """
  rng = np.random.default_rng(seed)
  order = rng.permutation(len(image_set.test_images))
  learned = rng.permutation(len(image_set.train_images))[:num]
  base = order[:num]
  found = [
    Condition(name, strength, (Part(pool_name(name, strength), base),))
    for name, corruption in CORRUPTIONS.items()
    for strength in corruption.strengths
  ]
  for strength in CHOICES["classes dropped"]:
    labels = np.asarray(image_set.test_labels)[order]
    left = order[labels >= strength][:num]
    found.append(Condition("classes dropped", strength, (Part(CLEAN, left),)))
  for strength in CHOICES["duplicates"]:
    copies = base.copy()
    repeated = round(strength * num)
    copies[num - repeated :] = copies[:repeated]
    found.append(Condition("duplicates", strength, (Part(CLEAN, copies),)))
  for strength in CHOICES["memorised"]:
    kept = num - round(strength * num)
    parts = Part(CLEAN, base[:kept]), Part(TRAINING, learned[: num - kept])
    found.append(Condition("memorised", strength, parts))
  sizes = dict.fromkeys([num, *(condition.num for condition in found)])
  clean = [Condition(CLEAN, 0, (Part(CLEAN, order[:n]),)) for n in sizes]
  return [*clean, *found]


def names() -> Sequence[str]:
  """The names of all changes."""
  return [*CORRUPTIONS, *CHOICES]

"""Resizes uint8 images to the 299x299 floats that Inception-v3 takes.

Implementations of the FID differ here, and scores with them. Each way is linear
and acts on rows and columns separately, hence two matrix products, whose
matrices are made on the host in float64.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors


def _triangle(x: np.ndarray) -> np.ndarray:
  """The kernel of linear interpolation."""
  return np.maximum(0.0, 1.0 - np.abs(x))


def _between(positions: np.ndarray, size: int) -> np.ndarray:
  """Weights that read linearly between pixels; the border is repeated."""
  distances = np.clip(positions, 0, size - 1)[:, None] - np.arange(size)
  return _triangle(distances)


def _tf1_bilinear(size: int, out: int) -> np.ndarray:
  """Pixel i reads at i size / out: the first pixels are aligned."""
  return _between(np.arange(out) * size / out, size)


def _bilinear(size: int, out: int) -> np.ndarray:
  """Pixel centres, at halves, are mapped to each other; no antialiasing."""
  return _between((np.arange(out) + 0.5) * size / out - 0.5, size)


def _cubic(x: np.ndarray) -> np.ndarray:
  """The kernel of Keys (1981) with a = -1/2."""
  x = np.abs(x)
  near = (1.5 * x - 2.5) * x**2 + 1
  far = ((-0.5 * x + 2.5) * x - 4) * x + 2
  return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _antialiased(
  kernel: Callable[[np.ndarray], np.ndarray], size: int, out: int
) -> np.ndarray:
  """The kernel is widened when shrinking, and normalised at the border."""
  scale = size / out
  centres = (np.arange(out) + 0.5) * scale
  distances = np.arange(size) + 0.5 - centres[:, None]
  weights = kernel(distances / max(scale, 1.0))
  return weights / weights.sum(1, keepdims=True)


RULES: dict[str, Callable[[int, int], np.ndarray]] = {
  "tf1_bilinear": _tf1_bilinear,
  "bilinear": _bilinear,
  "antialiased_bilinear": functools.partial(_antialiased, _triangle),
  "antialiased_bicubic": functools.partial(_antialiased, _cubic),
}


def matrix(rule: str, size: int, out: int) -> np.ndarray:
  """The linear map along one axis.

  Args:
    rule: one of `RULES`. `tf1_bilinear` is `tf.image.resize_bilinear` of
      TensorFlow 1, `bilinear` is `torch.nn.functional.interpolate` without
      antialiasing, `antialiased_bilinear` is the same with it and Pillow's
      `BILINEAR`, `antialiased_bicubic` is Pillow's `BICUBIC`.
    size: number of pixels of the axis.
    out: number of pixels wanted.

  Returns:
    (out, size) float64; rows sum to 1.

  Raises:
    UserError: unknown rule.
  """
  return errors.look_up("resize rule", rule, RULES)(size, out)


@dataclasses.dataclass(frozen=True)
class Resize:
  """A rule, and the scale of the result, (x - middle) / half.

  Attributes:
    rule: one of `RULES`.
    middle: grey value that becomes 0.
    half: grey values that become 1.
  """

  rule: str
  middle: float
  half: float

  @property
  def value_range(self) -> tuple[float, float]:
    """The values of black and white."""
    return (0 - self.middle) / self.half, (255 - self.middle) / self.half

  def __call__(self, images: jax.Array, side: int) -> jax.Array:
    """Resizes and scales, inside jit or outside.

    Args:
      images: (B, H, W, C) uint8, with 1 or 3 channels.
      side: S, pixels.

    Returns:
      (B, S, S, 3) float32 in `value_range`; grey images are repeated.

    Raises:
      ValueError: images of another type or number of channels.
    """
    if images.dtype != jnp.uint8 or images.shape[-1] not in (1, 3):
      raise ValueError(
        "Resizing takes uint8 images (B, H, W, 1 or 3); got "
        f"{images.dtype} {images.shape}."
      )
    x = images.astype(jnp.float32)
    for axis, formula in [(1, "oh,bhwc->bowc"), (2, "ow,bhwc->bhoc")]:
      weights = jnp.float32(matrix(self.rule, images.shape[axis], side))
      x = jnp.einsum(formula, weights, x, precision="highest")
    # Only the bicubic kernel leaves the range of grey values.
    x = (jnp.clip(x, 0, 255) - self.middle) / self.half
    return jnp.broadcast_to(x, (*x.shape[:-1], 3))


# Named after the implementation of the FID: TensorFlow's original (and
# torch-fidelity), pytorch-fid, the "clean" mode of Parmar et al. 2022, and the
# default of torchmetrics 1.9, `antialias=True`.
RESIZES = {
  "tf1": Resize("tf1_bilinear", 128.0, 128.0),
  "pytorch_fid": Resize("bilinear", 127.5, 127.5),
  "clean": Resize("antialiased_bicubic", 128.0, 128.0),
  "torchmetrics": Resize("antialiased_bilinear", 128.0, 128.0),
}

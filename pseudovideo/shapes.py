"""The legend of array shapes, used in every docstring.

B  batch            T  frames; frame 0 is the most corrupted, frame T-1 the
H  height              image itself
W  width            N  number of images of a set, or of tokens
C  channels (last)  D  width of a layer or of a feature vector
K  number of levels, of classes, or of codebook entries

Annotations name the axes in the same way: `Float[Array, "B T H W C"]`. There
`*rest` and `...` are all further axes, `#B` is B or 1, and a name that occurs
twice is one length. `AnyArray` is an array of JAX or of numpy.

Images are uint8 (N, H, W, C) outside the model (files, data sets, metrics)
and float32 inside it, in the `value_range` that the task declares; only
`pseudovideo.pixels` converts.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

AnyArray = Array | np.ndarray


def last_frame(
  video: Shaped[AnyArray, "B T H W C"],
) -> Shaped[AnyArray, "B H W C"]:
  """The image of a pseudo video."""
  if video.ndim != 5:
    raise ValueError(f"A video is (B, T, H, W, C); got shape {video.shape}.")
  return video[:, -1]


def known_channels(channels: int | None) -> int:
  """Returns the channels of images, which a config may leave open as None.

  Raises:
    ValueError: they are still open.
  """
  if channels is None:
    raise ValueError("A network needs the channels of its images; got None.")
  return channels


def mean_of_each(x: Float[Array, "B ..."]) -> Float[Array, " B"]:
  """The mean of each example over all axes but the first."""
  return jnp.mean(x, axis=tuple(range(1, x.ndim)))


def count_parameters(params: Any) -> int:
  """Number of floats in a tree."""
  return sum(x.size for x in jax.tree.leaves(params))

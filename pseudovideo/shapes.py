"""The legend of array shapes, used in every docstring.

B  batch            T  frames; frame 0 is the most corrupted, frame T-1 the
H  height              image itself
W  width            N  number of images of a set, or of tokens
C  channels (last)  D  width of a layer or of a feature vector
K  number of levels, of classes, or of codebook entries

Images are uint8 (N, H, W, C) outside the model (files, data sets, metrics)
and float32 inside it, in the `value_range` that the task declares; only
`pseudovideo.pixels` converts.
"""

import jax


def last_frame(video: jax.Array) -> jax.Array:
  """The image of a pseudo video: (B, T, H, W, C) -> (B, H, W, C)."""
  if video.ndim != 5:
    raise ValueError(f"A video is (B, T, H, W, C); got shape {video.shape}.")
  return video[:, -1]

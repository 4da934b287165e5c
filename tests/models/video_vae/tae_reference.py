"""The temporal autoencoder in float64 numpy, one clip (T, H, W, C) at a time.

Layers within frames are those of `reference`, for one branch.
"""

import numpy as np

from tests.models.video_vae import reference


def over_time(x, p, stride=1):
  padded = np.pad(x, ((1, 1), (0, 0), (0, 0), (0, 0)), mode="edge")
  kernels = np.split(p["taps"]["kernel"], 3)
  out = sum(padded[i : len(x) + i] @ kernels[i] for i in range(3))
  return (out + p["taps"]["bias"])[::stride]


def attend_over_time(x, p):
  """One place after the other."""
  out = np.empty_like(x)
  for i in range(x.shape[1]):
    for j in range(x.shape[2]):
      # A frame of T x 1 places.
      frames = x[None, :, None, i, j]
      out[:, i, j] = reference.attend_alone(frames, p["places"])[0, :, 0]
  return out


def conv(x, p, name):
  x = reference.conv(x, p[name]["conv"])
  return over_time(x, p[f"{name}_time"])


def block(x, p):
  h = x
  for i in "01":
    h = reference.silu(reference.norm(h, p[f"norm_{i}"]["norm"]))
    h = conv(h, p, f"unit_{i}")
  return h + (reference.pointwise(x, p["shortcut"]) if "shortcut" in p else x)


def middle(x, p):
  x = block(x, p["middle_0"])
  x = reference.attend(x, p["middle_attention"])
  x = attend_over_time(x, p["middle_attention_time"])
  return block(x, p["middle_1"])


def encode(video, p, net):
  """Means and log-variances before they are bounded."""
  e, last = p["encoder"], len(net.multipliers) - 1
  x = conv(video, e, "stem")
  for level in range(last + 1):
    for i in range(net.blocks):
      x = block(x, e[f"level_{level}_{i}"])
    if level < last:
      x = reference.down(x, e[f"level_{level}_down"], False)
      stride = 2 if net.temporal[level] else 1
      x = over_time(x, e[f"level_{level}_down_time"], stride)
  x = middle(x, e)
  x = conv(reference.silu(reference.norm(x, e["norm"]["norm"])), e, "head")
  return np.split(reference.pointwise(x, p["moments"]), 2, axis=-1)


def decode(latents, p, net):
  """All frames, those behind the clip's end too."""
  d, last = p["decoder"], len(net.multipliers) - 1
  x = conv(reference.pointwise(latents, p["latents"]), d, "stem")
  x = middle(x, d)
  for level in range(last, -1, -1):
    for i in range(net.blocks + 1):
      x = block(x, d[f"level_{level}_{i}"])
    if level:
      if net.temporal[level - 1]:
        x = x.repeat(2, axis=0)
      x = reference.up(x, d[f"level_{level}_up"], False)
      x = over_time(x, d[f"level_{level}_up_time"])
  return conv(reference.silu(reference.norm(x, d["norm"]["norm"])), d, "head")

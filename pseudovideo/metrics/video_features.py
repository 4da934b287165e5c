"""I3D as a network from videos to 400 logits, as the FVD looks at them.

The Frechet video distance (Unterthiner et al. 2018, arXiv 1812.01717) compares
the logits of the RGB network of Carreira & Zisserman trained on Kinetics-400.
Frames are resized to 224x224 by the bilinear rule of TensorFlow 1, and grey
values scaled to [-1, 1]. No checksum of its weights is published in PyTorch's
form, so whatever file is given, scores carry the start of its own.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pseudovideo import errors, sharding
from pseudovideo.convert import i3d as convert_i3d
from pseudovideo.metrics import features, resize, weights
from pseudovideo.models import i3d

# What the copies of the network add to the variances: the published graph
# (Sonnet), and the copy in VideoGPT (PyTorch's own default).
EPSILONS = {"tf_hub": 1e-3, "videogpt": 1e-5}

_RESIZE = resize.Resize("tf1_bilinear", 127.5, 127.5)


@dataclasses.dataclass(frozen=True, eq=False)
class VideoFeatures:
  """A network from videos to logits, and what to say about it.

  Attributes:
    name: `i3d-` and the start of the file's SHA-256; with another epsilon than
      the published one, `i3d-videogpt-` and so on.
    lead: what a Frechet distance over the logits is called.
    net: from (B, T, 224, 224, 3) floats in [-1, 1] to (B, 400).
    variables: its parameters and statistics.
    facts: what else a score must quote.
  """

  name: str
  lead: str
  net: i3d.I3D
  variables: Mapping[str, Any]
  facts: Mapping[str, Any]

  def __call__(self, videos: np.ndarray, batch_size: int = 16) -> np.ndarray:
    """Logits of videos in memory.

    Batches are cut over all devices of this process, and the last one is
    padded to the same size.

    Args:
      videos: (N, T, H, W, C) uint8, T >= 9, C 1 or 3; grey is repeated.
      batch_size: videos in device memory at once, rounded up to a multiple of
        the number of devices.

    Returns:
      (N, 400) float32.

    Raises:
      UserError: fewer than nine frames.
      ValueError: an array of another type or shape.
    """
    _check(videos)
    mesh = sharding.make_mesh(jax.local_devices())
    batch_size = -(-batch_size // mesh.size) * mesh.size
    variables = jax.device_put(self.variables, sharding.replicated(mesh))
    logits = np.empty((len(videos), i3d.NUM_CLASSES), np.float32)
    for start in range(0, len(videos), batch_size):
      batch = videos[start : start + batch_size]
      padded = np.zeros((batch_size, *videos.shape[1:]), np.uint8)
      padded[: len(batch)] = batch
      placed = jax.device_put(padded, sharding.split_batch(mesh))
      out = _logits(variables, placed, net=self.net)
      logits[start : start + len(batch)] = out[: len(batch)]
    return logits

  def provenance(self) -> dict[str, Any]:
    """What a score over this network must quote."""
    return {
      "name": self.name,
      "feature_dim": i3d.NUM_CLASSES,
      "resize": f"{_RESIZE.rule} to {i3d.SIDE}x{i3d.SIDE}",
      "value_range": list(_RESIZE.value_range),
      **self.facts,
    }


def preprocess(videos: jax.Array) -> jax.Array:
  """What the network takes: (B, T, H, W, C) uint8 -> (B, T, 224, 224, 3).

  Frames are resized one by one, and grey values x become 2 x / 255 - 1.
  """
  frames = videos.reshape(-1, *videos.shape[2:])
  frames = _RESIZE(frames, i3d.SIDE)
  return frames.reshape(*videos.shape[:2], *frames.shape[1:])


@functools.partial(jax.jit, static_argnames="net")
def _logits(variables, videos, *, net):
  return net.apply(variables, preprocess(videos))


def _check(videos: np.ndarray) -> None:
  fits = videos.ndim == 5 and videos.shape[-1] in (1, 3)
  if not fits or videos.dtype != np.uint8:
    raise ValueError(
      "I3D takes uint8 videos (N, T, H, W, 1 or 3); got "
      f"{videos.dtype} {videos.shape}."
    )
  frames = videos.shape[1]
  if frames < i3d.FEWEST_FRAMES:
    raise errors.UserError(
      f"FVD is not defined for videos of {frames} frames, as I3D takes "
      f"{i3d.FEWEST_FRAMES} or more; use the last frame's Frechet distance."
    )


def load(
  path: str | os.PathLike | None = None, *, epsilon: str = "tf_hub"
) -> VideoFeatures:
  """I3D with the weights of a file.

  Args:
    path: of the file; by default searched, see `weights.find`.
    epsilon: one of `EPSILONS`.

  Raises:
    UserError: there is no such file, it does not hold I3D's arrays, or the
      epsilon is unknown.
  """
  value = errors.look_up("epsilon of I3D", epsilon, EPSILONS)
  state_dict, digest = weights.read(weights.I3D, path)
  name = _name(epsilon, digest)
  return VideoFeatures(
    name,
    f"FVD-{name}",
    i3d.I3D(value),
    convert_i3d.to_flax(state_dict),
    {"sha256": digest, "epsilon": value},
  )


def from_state_dict(
  state_dict: Mapping[str, np.ndarray], *, epsilon: str = "tf_hub"
) -> VideoFeatures:
  """I3D with weights that come from no published file.

  Args:
    state_dict: arrays by name, see `convert.i3d`.
    epsilon: one of `EPSILONS`.

  Returns:
    The network, named `unofficial-i3d-` and the start of a hash of its
    variables; a Frechet distance over it is not called FVD.

  Raises:
    UserError: the arrays are not those of I3D, or the epsilon is unknown.
  """
  value = errors.look_up("epsilon of I3D", epsilon, EPSILONS)
  variables = convert_i3d.to_flax(state_dict)
  digest = features.weights_hash(variables)
  name = f"unofficial-{_name(epsilon, digest)}"
  return VideoFeatures(
    name,
    f"FD-{name}",
    i3d.I3D(value),
    variables,
    {"weights_hash": digest, "epsilon": value},
  )


def _name(epsilon: str, digest: str) -> str:
  """Values with another epsilon are other values, so the name says so."""
  kind = "i3d" if epsilon == "tf_hub" else f"i3d-{epsilon}"
  return f"{kind}-{digest[:8]}"

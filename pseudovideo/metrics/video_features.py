"""I3D as a network from videos to 400 logits, as the FVD looks at them.

The Frechet video distance (Unterthiner et al. 2018, arXiv 1812.01717) compares
the logits of the RGB network of Carreira & Zisserman trained on Kinetics-400.
Frames are resized to 224x224 by the bilinear rule of TensorFlow 1, and grey
values scaled to [-1, 1]. No checksum of its weights is published in PyTorch's
form, so whatever file is given, scores carry the start of its own.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pseudovideo import errors
from pseudovideo.convert import i3d as convert_i3d
from pseudovideo.metrics import features, resize, weights
from pseudovideo.metrics.features import FeatureNetwork
from pseudovideo.models import i3d

# What the copies of the network add to the variances: the published graph
# (Sonnet), and the copy in VideoGPT (PyTorch's own default).
EPSILONS = {"tf_hub": 1e-3, "videogpt": 1e-5}

_RESIZE = resize.Resize("tf1_bilinear", 127.5, 127.5)


def preprocess(videos: jax.Array) -> jax.Array:
  """What the network takes: (B, T, H, W, C) uint8 -> (B, T, 224, 224, 3).

  Frames are resized one by one, and grey values x become 2 x / 255 - 1.
  """
  frames = videos.reshape(-1, *videos.shape[2:])
  frames = _RESIZE(frames, i3d.SIDE)
  return frames.reshape(*videos.shape[:2], *frames.shape[1:])


@dataclasses.dataclass(frozen=True)
class _Forward:
  """Equal for equal networks, so that each is compiled once."""

  net: i3d.I3D

  def __call__(
    self, variables: Any, videos: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    logits = self.net.apply(variables, preprocess(videos))
    return logits, logits


def load(
  path: str | os.PathLike | None = None, *, epsilon: str = "tf_hub"
) -> FeatureNetwork:
  """I3D with the weights of a file.

  Args:
    path: of the file; by default searched, see `weights.find`.
    epsilon: one of `EPSILONS`.

  Raises:
    UserError: there is no such file, it does not hold I3D's arrays, or the
      epsilon is unknown.
  """
  _check(epsilon)
  state_dict, digest = weights.read(weights.I3D, path)
  variables = convert_i3d.to_flax(state_dict)
  return _assemble(_name(epsilon, digest), digest, variables, epsilon)


def from_state_dict(
  state_dict: Mapping[str, np.ndarray], *, epsilon: str = "tf_hub"
) -> FeatureNetwork:
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
  _check(epsilon)
  variables = convert_i3d.to_flax(state_dict)
  digest = features.weights_hash(variables)
  name = f"unofficial-{_name(epsilon, digest)}"
  return _assemble(name, digest, variables, epsilon)


def _check(epsilon: str) -> None:
  errors.look_up("epsilon of I3D", epsilon, EPSILONS)


def _assemble(
  name: str, digest: str, variables: Any, epsilon: str
) -> FeatureNetwork:
  return FeatureNetwork(
    name=name,
    weights_hash=digest,
    feature_dim=i3d.NUM_CLASSES,
    num_classes=i3d.NUM_CLASSES,
    image_shape=None,
    forward=_Forward(i3d.I3D(EPSILONS[epsilon])),
    params=variables,
    facts={
      "weights": weights.I3D.title,
      "resize": f"{_RESIZE.rule} to {i3d.SIDE}x{i3d.SIDE}",
      "value_range": list(_RESIZE.value_range),
      "epsilon": EPSILONS[epsilon],
    },
    frames=i3d.FEWEST_FRAMES,
    batch_size=8 if jax.default_backend() == "cpu" else 32,
  )


def _name(epsilon: str, digest: str) -> str:
  """Values with another epsilon are other values, so the name says so."""
  kind = "i3d" if epsilon == "tf_hub" else f"i3d-{epsilon}"
  return f"{kind}-{digest[:8]}"

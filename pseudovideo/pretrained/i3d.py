"""I3D as in the FVD: a network from videos to 400 logits.

The Frechet video distance (Unterthiner et al. 2018, arXiv 1812.01717) compares
the logits of the RGB network of Carreira & Zisserman trained on Kinetics-400.
Frames are resized to 224x224 by the bilinear rule of TensorFlow 1, and grey
values scaled to [-1, 1]. No checksum of its weights is published in PyTorch's
form, so scores carry the start of the hash of whatever file is given.
"""

import functools
import os

import flax.linen as nn
import jax

from pseudovideo import errors
from pseudovideo.pretrained import resize, weights
from pseudovideo.pretrained.features import FeatureNetwork, Forward
from pseudovideo.pretrained.from_torch import i3d as convert_i3d
from pseudovideo.pretrained.networks import i3d

# The epsilon added to the variances: in the published graph (Sonnet), and in
# the copy in VideoGPT (PyTorch's own default).
EPSILONS = {"tf_hub": 1e-3, "videogpt": 1e-5}

_RESIZE = resize.Resize("tf1_bilinear", 127.5, 127.5)


def preprocess(videos: jax.Array) -> jax.Array:
  """Resizes and scales videos, (B, T, H, W, C) uint8 -> (B, T, 224, 224, 3).

  Frames are resized one by one, and grey values x become 2 x / 255 - 1.
  """
  frames = videos.reshape(-1, *videos.shape[2:])
  frames = _RESIZE(frames, i3d.SIDE)
  return frames.reshape(*videos.shape[:2], *frames.shape[1:])


@functools.cache
def _forward(net: nn.Module) -> Forward:
  """One function for equal networks, so that each is compiled once."""

  def forward(variables, videos):
    logits = net.apply(variables, preprocess(videos))
    return logits, logits

  return forward


def load(
  path: str | os.PathLike | None = None, *, epsilon: str = "tf_hub"
) -> FeatureNetwork:
  """I3D with the weights of a file.

  Args:
    path: where the file is; by default searched, see `weights.find`.
    epsilon: one of `EPSILONS`.

  Returns:
    A network named `i3d-` and the start of the file's hash; with the other
    epsilon, which gives other values, `i3d-videogpt-` and the hash.

  Raises:
    UserError: there is no such file, it does not hold I3D's arrays, or the
      epsilon is unknown.
  """
  number = errors.look_up("epsilon of I3D", epsilon, EPSILONS)
  state_dict, digest = weights.read(weights.I3D, path)
  kind = "i3d" if epsilon == "tf_hub" else f"i3d-{epsilon}"
  return FeatureNetwork(
    name=f"{kind}-{digest[:8]}",
    weights_hash=digest,
    feature_dim=i3d.NUM_CLASSES,
    num_classes=i3d.NUM_CLASSES,
    image_shape=None,
    forward=_forward(i3d.I3D(number)),
    params=convert_i3d.to_flax(state_dict),
    facts={
      "weights": weights.I3D.title,
      "resize": f"{_RESIZE.rule} to {i3d.SIDE}x{i3d.SIDE}",
      "value_range": list(_RESIZE.value_range),
      "epsilon": number,
    },
    frames=i3d.FEWEST_FRAMES,
    batch_size=8 if jax.default_backend() == "cpu" else 32,
  )

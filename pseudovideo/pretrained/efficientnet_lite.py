"""EfficientNet-Lite0: the network of colour scores that needs no download.

The published weights are a small package on the Python index, the same bytes on
every machine, so its scores can be compared between machines. They are not the
FID, and not comparable with it: they are named `FD-efflite0` and so on.

Images are resized to 128x128, and grey values g become (g - 127) / 128, as the
Lite networks were trained. Both were chosen by a linear classifier of its
features on CIFAR-10, see `experiments.instruments`.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax

from pseudovideo.pretrained import weights
from pseudovideo.pretrained.features import FeatureNetwork, Forward
from pseudovideo.pretrained.from_torch import efficientnet_lite as convert
from pseudovideo.pretrained.networks import efficientnet_lite as model
from pseudovideo.pretrained.resize import Resize

NAME = "efflite0"
SIDE = 128
RESIZE = Resize("antialiased_bilinear", 127.0, 128.0)


def load(path: str | os.PathLike | None = None) -> FeatureNetwork:
  """The network with its published weights.

  It takes images of any size; grey ones are repeated to three channels. Its
  logits are over the classes of ImageNet.

  Args:
    path: where the weights are; by default searched, see `weights.find`.

  Raises:
    UserError: no weights, or not the published ones.
  """
  state_dict, sha256 = weights.read(weights.EFFICIENTNET_LITE0, path)
  return FeatureNetwork(
    name=NAME,
    weights_hash=sha256,
    feature_dim=model.NUM_FEATURES,
    num_classes=model.NUM_CLASSES,
    image_shape=None,
    forward=forward(RESIZE, SIDE),
    params=convert.to_flax(state_dict),
    facts={
      "weights": weights.EFFICIENTNET_LITE0.title,
      "published": True,
      "resize": f"{RESIZE.rule} to {SIDE}x{SIDE}",
      "value_range": list(RESIZE.value_range),
      "grey": "repeated to three channels",
    },
    batch_size=32 if jax.default_backend() == "cpu" else 256,
  )


@functools.cache
def forward(
  resize: Callable[[jax.Array, int], jax.Array], side: int
) -> Forward:
  """The function of a network that sees images resized in some way.

  One function for equal choices, so that each is compiled once.

  Args:
    resize: how images are resized and scaled, such as a `Resize`.
    side: pixels along either axis.
  """

  def run(variables, images):
    outputs: Any = model.EfficientNetLite0().apply(
      variables, resize(images, side)
    )
    return outputs["features"], outputs["logits"]

  return run

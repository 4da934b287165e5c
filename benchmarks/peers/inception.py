"""The pair of Inception-v3: features and logits of uint8 images.

The peer is torch-fidelity's network, with the same random weights; both resize
the images to 299x299 themselves.
"""

import pathlib
import tempfile

import numpy as np
import torch
from torch_fidelity.feature_extractor_inceptionv3 import (
  FeatureExtractorInceptionV3,
)

from benchmarks import metrics
from benchmarks.peers import pairs, torch_training
from pseudovideo import shapes
from pseudovideo.pretrained.from_torch import inception as convert

BATCH = 16


def make() -> dict[str, pairs.Pair]:
  """The pair `features`, of 16 images of 32x32.

  Ours takes them as every command does, some at a time.
  """
  network = metrics.random_inception()
  peer = extractor(convert.to_torch(network.params))
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (BATCH, *metrics.SHAPE), np.uint8)
  theirs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))

  def ours() -> tuple[np.ndarray, ...]:
    return network(images)

  def features(net: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    return net(theirs)

  found = torch_training.inferred(features, peer)
  facts = pairs.equal(
    ours(),
    [x.numpy() for x in found],
    (
      shapes.count_parameters(network.params["params"]),
      torch_training.count(peer),
    ),
  )
  ways = torch_training.evaluations(peer, features)
  return {"features": pairs.Pair(ours, ways, facts)}


def extractor(
  arrays: dict[str, np.ndarray],
) -> FeatureExtractorInceptionV3:
  """torch-fidelity's network, which reads its weights from a file."""
  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, "weights.pth")
    state = {name: torch.from_numpy(x) for name, x in arrays.items()}
    torch.save(state, file)
    return FeatureExtractorInceptionV3(
      "inception", ["2048", "logits_unbiased"], str(file)
    )

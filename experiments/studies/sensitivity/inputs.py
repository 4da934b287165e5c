"""What EfficientNet-Lite0 should see: sides and scales of its input.

A linear classifier of the features, fitted to a few labels, is right the more
often the more the features say about the images.
"""

import dataclasses
import time
from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn import linear_model, pipeline, preprocessing

from pseudovideo.data.image_set import ImageSet
from pseudovideo.pretrained import efficientnet_lite, resize
from pseudovideo.pretrained.features import FeatureNetwork

SIDES = (96, 128, 224)
LABELS, TESTED = 800, 2000
# Mean and deviation of the training images of ImageNet, of grey values in
# [0, 1]; other networks are trained on images scaled so.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _lite(images, side):
  return efficientnet_lite.RESIZE(images, side)


def _imagenet(images, side):
  plain = resize.Resize(efficientnet_lite.RESIZE.rule, 0.0, 255.0)
  means, deviations = (
    jnp.reshape(jnp.float32(values), (1, 1, 1, 3))
    for values in (MEAN, DEVIATION)
  )
  return (plain(images, side) - means) / deviations


SCALES = {"(x - 127) / 128": _lite, "ImageNet's mean and deviation": _imagenet}


def accuracy(
  image_set: ImageSet, network: FeatureNetwork, seed: int
) -> dict[str, Any]:
  """The accuracy of a linear classifier on held-out images.

  Args:
    image_set: images with labels.
    network: network that gives the features.
    seed: seed of the choice of images.

  Returns:
    `accuracy`, `seconds` of the network, `labels` and `tested`.
  """
  rng = np.random.default_rng(seed)
  begin = time.process_time()
  parts = []
  for images, labels, most in (
    (image_set.train_images, image_set.train_labels, LABELS),
    (image_set.test_images, image_set.test_labels, TESTED),
  ):
    places = np.sort(rng.permutation(len(images))[:most])
    seen, _ = network(np.asarray(images[places]))
    parts.append((seen, np.asarray(labels)[places]))
  cpu_seconds = time.process_time() - begin
  model = pipeline.make_pipeline(
    preprocessing.StandardScaler(),
    linear_model.LogisticRegression(C=0.01, max_iter=500),
  )
  model.fit(*parts[0])
  return {
    "accuracy": float(model.score(*parts[1])),
    "cpu_seconds": cpu_seconds,
    "labels": len(parts[0][1]),
    "tested": len(parts[1][1]),
  }


def measure(
  image_set: ImageSet, seed: int, sides: tuple[int, ...] = SIDES
) -> list[dict[str, Any]]:
  """The accuracies of all sides and scales."""
  network, found = efficientnet_lite.load(), []
  for side in sides:
    for scale, look in SCALES.items():
      forward = efficientnet_lite.forward(look, side)
      other = dataclasses.replace(network, forward=forward)
      result = accuracy(image_set, other, seed)
      found.append({"side": side, "scale": scale, **result})
      print(f"side {side}, {scale}: {result['accuracy']:.1%}", flush=True)
  return found

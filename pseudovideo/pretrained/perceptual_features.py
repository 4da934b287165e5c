"""Frozen networks whose features the perceptual loss compares, by name.

Their parameters are data, to be handed to the compiled step with the rest of
its state; as constants inside it they would be compiled in. They are never
trained and never change: dropout is off.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from pseudovideo import errors
from pseudovideo.losses import perceptual
from pseudovideo.pretrained.networks import classifier as networks
from pseudovideo.pretrained.networks import vgg

if TYPE_CHECKING:
  from pseudovideo.data.image_set import ImageSet

# The fully connected layers pool once more than the maps of LPIPS.
VGG_SMALLEST_SIDE = 2 * vgg.SMALLEST_SIDE


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
  """A frozen network from images to features.

  Attributes:
    name: name of the network, for people and results.
    params: its parameters, a tree of arrays.
    forward: (params, (B, H, W, C) floats in [0, 1]) -> (B, D), pure.
    facts: hash of the weights and the form of the input, for results.
  """

  name: str
  params: Any
  forward: Callable[[Any, jax.Array], jax.Array]
  facts: Mapping[str, Any]

  def apply(self, params: Any, images: jax.Array) -> jax.Array:
    """Features of images; differentiable by the images only.

    Args:
      params: `self.params`, which may be kept elsewhere.
      images: (B, H, W, C) floats in [0, 1].

    Returns:
      (B, D) float32.
    """
    return self.forward(jax.lax.stop_gradient(params), images)

  def provenance(self) -> dict[str, Any]:
    """The facts that a result must quote."""
    return {"name": self.name, **self.facts}


def load(
  name: str, image_set: "ImageSet", *, binarize: str = "none"
) -> Features | None:
  """A network by name.

  Args:
    name: one of `FEATURES`: `none` for no perceptual loss, `vgg16` for the
      function of that name, `classifier` for `of_classifier`.
    image_set: data set that is trained on.
    binarize: how the data are binarized, one of `pixels.BINARIZE`.

  Returns:
    The network, or None for `none`. A network of constant features would not
    do: its loss has no gradient, and the adversarial loss, which is weighted by
    that gradient, would be silently off.

  Raises:
    UserError: unknown name, missing weights, images of a size that the network
      does not take, no labels to train the classifier on.
  """
  maker, _ = errors.look_up("perceptual features", name, FEATURES)
  return maker(image_set, binarize)


def forward(
  name: str,
) -> Callable[[Any, jax.Array], jax.Array] | None:
  """`Features.forward` of the network of that name, without loading it.

  Returns:
    (params, (B, H, W, C) floats in [0, 1]) -> (B, D), or None for `none`.

  Raises:
    UserError: unknown name.
  """
  return errors.look_up("perceptual features", name, FEATURES)[1]


def distance(name: str, params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
  """The perceptual loss of two batches of images.

  Args:
    name: one of `FEATURES`, not `none`.
    params: `Features.params` of the network.
    x: (B, H, W, C) floats in [0, 1].
    y: (B, H, W, C), images that x is compared with.

  Returns:
    (B,), see `losses.perceptual`.
  """
  features = forward(name)
  if features is None:
    raise ValueError(f"The perceptual features {name!r} have no distance.")
  return perceptual.perceptual(functools.partial(features, params), x, y)


def vgg16(image_shape: tuple[int, int, int]) -> Features:
  """VGG-16 with the published weights, which the user must supply.

  Args:
    image_shape: (H, W, C) of the images, C 1 or 3.

  Raises:
    UserError: the file is missing or another one, or images of a size that the
      network does not take.
  """
  # Imported here: tasks import this module, and most open no file.
  from pseudovideo.pretrained import weights
  from pseudovideo.pretrained.from_torch import backbones

  height, width, channels = image_shape
  if min(height, width) < VGG_SMALLEST_SIDE or channels not in (1, 3):
    raise errors.UserError(
      f"The perceptual loss over vgg16 takes images of {VGG_SMALLEST_SIDE}x"
      f"{VGG_SMALLEST_SIDE} pixels or more with 1 or 3 channels; these have "
      f"the shape {tuple(image_shape)}; choose the features classifier or none."
    )
  state_dict, digest = weights.read(weights.VGG16)
  params = {
    "maps": backbones.vgg16(state_dict),
    "head": backbones.vgg16_head(state_dict),
  }
  facts = {
    "weights_hash": digest,
    "layer": "fc7 after ReLU",
    "value_range": [0.0, 1.0],
    "resize": "none",
  }
  return Features("vgg16", params, fc7, facts)


def fc7(params: Mapping[str, Any], images: jax.Array) -> jax.Array:
  """The second fully connected layer of VGG-16 after its ReLU.

  It is used as in the public Phenaki implementation: pixels go in as they are,
  not normalised and not resized. But that code also trains the network, with
  dropout on. Grey is repeated.

  Args:
    params: `maps`, the parameters of `vgg.VGG16`, and `head`, of `vgg.Head`.
    images: (B, H, W, 1 or 3) floats in [0, 1]; H, W >= `VGG_SMALLEST_SIDE`.

  Returns:
    (B, D) float32, not negative; D = 4096 in the published network.
  """
  images = jnp.broadcast_to(images, (*images.shape[:-1], 3))
  maps = vgg.VGG16().apply({"params": params["maps"]}, images)
  head = vgg.Head(params["head"]["classifier_3"]["bias"].size)
  features: Any = head.apply({"params": params["head"]}, maps[-1])
  return features


def of_classifier(image_set: "ImageSet", binarize: str = "none") -> Features:
  """The penultimate layer of the data set's own classifier.

  The metrics use this network as well: a model that was trained with it must be
  scored over another network too.

  Args:
    image_set: images with labels; the classifier is trained now if it never
      was.
    binarize: one of `pixels.BINARIZE`.

  Raises:
    UserError: a set without labels, or an unknown binarization.
  """
  from pseudovideo.pretrained import classifier  # As in `vgg16`.

  if image_set.train_labels is None:
    raise errors.UserError(
      f"The data set {image_set.name!r} has no labels to train a classifier on "
      "for the perceptual loss; choose the features vgg16 or none."
    )
  found = classifier.get_feature_network(image_set, binarize=binarize)
  facts = found.provenance()
  return Features(facts.pop("name"), found.params, penultimate, facts)


def penultimate(params: Mapping[str, Any], images: jax.Array) -> jax.Array:
  """The penultimate layer of a classifier.

  Args:
    params: see `networks.classifier.apply`.
    images: (B, H, W, C) floats in [0, 1], of the size it was trained on.

  Returns:
    (B, D) float32.
  """
  low, high = networks.VALUE_RANGE
  features, _ = networks.apply(params, low + (high - low) * images)
  return features


# By name: how the network is loaded, and its function of parameters and images.
FEATURES = {
  "none": (lambda image_set, binarize: None, None),
  "vgg16": (lambda image_set, binarize: vgg16(image_set.image_shape), fc7),
  "classifier": (of_classifier, penultimate),
}

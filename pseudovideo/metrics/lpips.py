r"""LPIPS v0.1, a learned perceptual distance (Zhang et al. 2018, 1801.03924).

Both images go through a network that was trained to classify; at five layers
the activations are scaled to unit length over the channels, x / (|x| + 1e-10),
and

  d(x, y) = \sum_layers mean_{h, w} \sum_c w_c (x_hwc - y_hwc)^2

with the published weights w >= 0 (Eq. 1 there). Smaller is more alike, 0 for
equal images. Distances of the two networks cannot be compared.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors
from pseudovideo.convert import backbones
from pseudovideo.metrics import batched, features, pairs, weights
from pseudovideo.models import alexnet, vgg

VERSION = "v0.1"

# ImageNet's mean and standard deviation of the three colours, on [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10


@dataclasses.dataclass(frozen=True)
class Backbone:
  """A network whose activations are compared.

  Attributes:
    net: returns the maps.
    channels: of each map.
    smallest_side: of an image, pixels.
    convert: state dict to parameters.
    published: the file of the network.
    linear: the file of the weights w.
  """

  net: nn.Module
  channels: tuple[int, ...]
  smallest_side: int
  convert: Any
  published: weights.Published
  linear: weights.Published


BACKBONES = {
  "vgg": Backbone(
    vgg.VGG16(),
    vgg.CHANNELS,
    vgg.SMALLEST_SIDE,
    backbones.vgg16,
    weights.VGG16,
    weights.LPIPS_VGG,
  ),
  "alex": Backbone(
    alexnet.AlexNet(),
    alexnet.CHANNELS,
    alexnet.SMALLEST_SIDE,
    backbones.alexnet,
    weights.ALEXNET,
    weights.LPIPS_ALEX,
  ),
}


def normalize(images: jax.Array) -> jax.Array:
  """[-1, 1] -> torchvision's normalisation by ImageNet's mean and deviation.

  Args:
    images: (..., 3) floats in [-1, 1].
  """
  shape = (1,) * (images.ndim - 1) + (3,)
  shift = jnp.asarray(_SHIFT, jnp.float32).reshape(shape)
  return (images - shift) / jnp.asarray(_SCALE, jnp.float32).reshape(shape)


def distance(
  params: Mapping[str, Any],
  x: jax.Array,
  y: jax.Array,
  *,
  backbone: str = "vgg",
) -> jax.Array:
  """The distances of pairs of images; pure, and differentiable everywhere.

  Args:
    params: `LPIPS.params`.
    x: (B, H, W, 3) floats in [-1, 1].
    y: as x.
    backbone: one of `BACKBONES`, the one that `params` belong to.

  Returns:
    (B,) float32, not negative.

  Raises:
    UserError: unknown backbone, or images that are too small for it.
    ValueError: other shapes.
  """
  chosen = errors.look_up("network of LPIPS", backbone, BACKBONES)
  if x.shape != y.shape or x.ndim != 4 or x.shape[-1] != 3:
    raise ValueError(
      f"LPIPS takes two arrays (B, H, W, 3); got {x.shape} and {y.shape}."
    )
  if min(x.shape[1:3]) < chosen.smallest_side:
    height, width = x.shape[1:3]
    raise errors.UserError(
      f"Images of {height}x{width} pixels are too small for LPIPS over "
      f"{backbone!r}, which takes {chosen.smallest_side} or more along either "
      "side; use larger images or another metric."
    )
  variables = {"params": params["net"]}
  # Not in one batch, where rounding could depend on the place.
  first = chosen.net.apply(variables, normalize(x))
  second = chosen.net.apply(variables, normalize(y))
  total = jnp.zeros(len(x))
  for one, two, weight in zip(first, second, params["linear"], strict=True):
    squared = _difference(one, two) ** 2 * weight[None, None, None]
    total += squared.sum(-1).mean((1, 2))
  return total


def _difference(x: jax.Array, y: jax.Array) -> jax.Array:
  """Of the activations at unit length: exactly 0 where they are equal.

  The selection changes no value; without it, compilers that fuse a product
  and a difference leave a rounding error.
  """
  equal = (x == y).all(-1, keepdims=True)
  return jnp.where(equal, 0.0, _unit(x) - _unit(y))


def _unit(x: jax.Array) -> jax.Array:
  """x / (|x| + 1e-10) over the last axis, with a finite gradient at x = 0."""
  squares = (x**2).sum(-1, keepdims=True)
  positive = squares > 0
  length = jnp.sqrt(jnp.where(positive, squares, 1.0))
  return x / (jnp.where(positive, length, 0.0) + _EPSILON)


@dataclasses.dataclass(frozen=True, eq=False)
class LPIPS:
  """The metric with its weights.

  Attributes:
    name: `LPIPS-vgg` or `LPIPS-alex`; with other weights than the published
      ones it begins with `unofficial-`.
    backbone: one of `BACKBONES`.
    params: `net`, parameters of the network, and `linear`, arrays (C,).
    hashes: SHA-256 of the two files, or of the parameters.
  """

  name: str
  backbone: str
  params: Mapping[str, Any]
  hashes: Mapping[str, str]

  def __call__(
    self, reference: np.ndarray, other: np.ndarray, batch_size: int = 32
  ) -> np.ndarray:
    """The distance of every image to its partner.

    Batches are cut over all devices of this process, and the last one is
    padded to the same size.

    Args:
      reference: images (N, H, W, C) or videos (N, T, H, W, C), uint8, C 1 or
        3; grey is repeated.
      other: as reference.
      batch_size: pairs of images in memory at once, rounded up to a multiple
        of the number of devices.

    Returns:
      (N,) or, for videos, (N, T) float32.

    Raises:
      UserError: as `pairs.checked` does, another number of channels, or images
        that are too small for the network.
    """
    reference, other = pairs.checked(reference, other)
    if reference.shape[-1] not in (1, 3):
      raise errors.UserError(
        "LPIPS takes images with 1 or 3 channels, and these have "
        f"{reference.shape[-1]}; give grey or colour images."
      )
    lead, image = reference.shape[:-3], reference.shape[-3:]
    flat = [array.reshape(-1, *image) for array in (reference, other)]
    function = functools.partial(_distance_of_bytes, backbone=self.backbone)
    parts = batched.stream(
      function, self.params, [np.stack(flat, 1)], batch_size
    )
    return np.concatenate(list(parts)).reshape(lead)

  def provenance(self) -> dict[str, Any]:
    """What a distance must quote."""
    return {"name": self.name, "version": VERSION, **self.hashes}


@functools.partial(jax.jit, static_argnames="backbone")
def _distance_of_bytes(params, batch, *, backbone):
  """(B, 2, H, W, 1 or 3) uint8 -> (B,)."""
  floats = batch.astype(jnp.float32) / 127.5 - 1
  floats = jnp.broadcast_to(floats, (*floats.shape[:-1], 3))
  return distance(params, floats[:, 0], floats[:, 1], backbone=backbone)


def load(
  backbone: str = "vgg",
  *,
  network: str | os.PathLike | None = None,
  linear: str | os.PathLike | None = None,
) -> LPIPS:
  """LPIPS with the published weights.

  Args:
    backbone: one of `BACKBONES`.
    network: file of the network; by default searched, see `weights.find`.
    linear: file of the weights w; by default searched.

  Raises:
    UserError: unknown backbone, a file is missing or not the published one.
  """
  chosen = errors.look_up("network of LPIPS", backbone, BACKBONES)
  net, net_hash = weights.read(chosen.published, network)
  lin, lin_hash = weights.read(chosen.linear, linear)
  return LPIPS(
    f"LPIPS-{backbone}",
    backbone,
    _params(chosen, net, lin),
    {"network_sha256": net_hash, "linear_sha256": lin_hash},
  )


def from_state_dicts(
  backbone: str,
  network: Mapping[str, np.ndarray],
  linear: Mapping[str, np.ndarray],
) -> LPIPS:
  """The same distance over weights that are not the published ones.

  Args:
    backbone: one of `BACKBONES`.
    network: state dict of the whole network, as torchvision names it.
    linear: state dict of the weights w.

  Returns:
    The metric, named `unofficial-LPIPS-` and the start of a hash.

  Raises:
    UserError: unknown backbone, or arrays that are not those of the network.
  """
  chosen = errors.look_up("network of LPIPS", backbone, BACKBONES)
  params = _params(chosen, network, linear)
  lin = {str(number): array for number, array in enumerate(params["linear"])}
  digest = features.weights_hash({"net": params["net"], "linear": lin})
  name = f"unofficial-LPIPS-{backbone}-{digest[:8]}"
  return LPIPS(name, backbone, params, {"weights_hash": digest})


def _params(chosen: Backbone, network, linear) -> dict[str, Any]:
  return {
    "net": chosen.convert(network),
    "linear": backbones.lpips_linear(linear, chosen.channels),
  }

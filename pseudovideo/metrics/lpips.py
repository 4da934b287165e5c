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
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Shaped

from pseudovideo import errors
from pseudovideo.devices import batching
from pseudovideo.metrics import pairs
from pseudovideo.pretrained import weights
from pseudovideo.pretrained.from_torch import backbones
from pseudovideo.pretrained.networks import alexnet, vgg

VERSION = "v0.1"

# ImageNet's mean and standard deviation of the three colours, on [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10


@dataclasses.dataclass(frozen=True)
class Backbone:
  """A network whose activations are compared.

  Attributes:
    net: module that returns the maps.
    channels: numbers of channels, one for each map.
    smallest_side: least height and width of an image, pixels.
    convert: function from a state dict to parameters.
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


def normalize(images: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
  """Normalises as torchvision does, by ImageNet's mean and deviation.

  Args:
    images: (..., 3) floats in [-1, 1].
  """
  shape = (1,) * (images.ndim - 1) + (3,)
  shift = jnp.asarray(_SHIFT, jnp.float32).reshape(shape)
  return (images - shift) / jnp.asarray(_SCALE, jnp.float32).reshape(shape)


def distance(
  params: Mapping[str, Any],
  x: Float[Array, "..."],
  y: Float[Array, "..."],
  *,
  backbone: str = "vgg",
) -> Float[Array, " B"]:
  """The distances of pairs of images; pure, and differentiable everywhere.

  Args:
    params: `LPIPS.params`.
    x: (B, H, W, 3) floats in [-1, 1].
    y: (B, H, W, 3) floats in [-1, 1].
    backbone: the one of `BACKBONES` that `params` belong to.

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
  # Not in one batch, where rounding could depend on an image's place in it.
  first = chosen.net.apply(variables, normalize(x))
  second = chosen.net.apply(variables, normalize(y))
  total = jnp.zeros(len(x))
  for one, two, weight in zip(first, second, params["linear"], strict=True):
    squared = _difference(one, two) ** 2 * weight[None, None, None]
    total += squared.sum(-1).mean((1, 2))
  return total


def _difference(x: jax.Array, y: jax.Array) -> jax.Array:
  """The difference of activations at unit length: 0 where they are equal.

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
    name: `LPIPS-vgg` or `LPIPS-alex`.
    backbone: one of `BACKBONES`.
    params: `net`, parameters of the network, and `linear`, arrays (C,).
    hashes: SHA-256 of the two files.
  """

  name: str
  backbone: str
  params: Mapping[str, Any]
  hashes: Mapping[str, str]

  def __call__(
    self,
    reference: Shaped[np.ndarray, "..."],
    other: Shaped[np.ndarray, "..."],
    batch_size: int = 32,
  ) -> Float32[np.ndarray, "..."]:
    """The distance of every image to its partner.

    Batches are cut over all devices of this process, and the last one is
    padded to the same size.

    Args:
      reference: images (N, H, W, C) or videos (N, T, H, W, C), uint8, C 1 or
        3; grey is repeated.
      other: uint8 of that shape.
      batch_size: pairs of images in memory at once, rounded up to a multiple
        of the number of devices.

    Returns:
      (N,) or, for videos, (N, T) float32.

    Raises:
      UserError: what `pairs.checked` refuses, another number of channels, or
        images that are too small for the network.
    """
    reference, other = pairs.checked(reference, other)
    if reference.shape[-1] not in (1, 3):
      raise errors.UserError(
        "LPIPS takes images with 1 or 3 channels, and these have "
        f"{reference.shape[-1]}; give grey or colour images."
      )
    lead, image = reference.shape[:-3], reference.shape[-3:]
    flat = [array.reshape(-1, *image) for array in (reference, other)]
    parts = batching.map_batches(
      _distance_of_bytes(self.backbone),
      (self.params,),
      [np.stack(flat, 1)],
      batch_size=batch_size,
    )
    return np.concatenate([part for _, part in parts]).reshape(lead)

  def provenance(self) -> dict[str, Any]:
    """The facts that a distance must quote."""
    return {"name": self.name, "version": VERSION, **self.hashes}


@functools.cache
def _distance_of_bytes(backbone: str) -> Callable[..., jax.Array]:
  """A function of parameters and (B, 2, H, W, 1 or 3) uint8, to (B,)."""

  def forward(params, batch):
    floats = batch.astype(jnp.float32) / 127.5 - 1
    floats = jnp.broadcast_to(floats, (*floats.shape[:-1], 3))
    return distance(params, floats[:, 0], floats[:, 1], backbone=backbone)

  return forward


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
  params = {
    "net": chosen.convert(net),
    "linear": backbones.lpips_linear(lin, chosen.channels),
  }
  hashes = {"network_sha256": net_hash, "linear_sha256": lin_hash}
  return LPIPS(f"LPIPS-{backbone}", backbone, params, hashes)

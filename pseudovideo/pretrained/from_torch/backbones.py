"""Converts state dicts of the networks that perceptual distances use.

VGG-16 and AlexNet are torchvision's, whose files hold the classifiers too; the
linear weights belong to LPIPS v0.1 (Zhang et al. 2018).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import errors
from pseudovideo.files import layouts
from pseudovideo.pretrained.from_torch import names
from pseudovideo.pretrained.networks import alexnet as alexnet_model
from pseudovideo.pretrained.networks import vgg

_CLASSES = 1000
_ALEXNET_CLASSIFIER = {1: (4096, 9216), 4: (4096, 4096), 6: (_CLASSES, 4096)}


def vgg16(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Parameters of `vgg.VGG16`; the classifier is checked and left out.

  Args:
    state_dict: torchvision's arrays by name, such as `features.0.weight`.

  Returns:
    {layer: {`kernel`, `bias`}}, float32.

  Raises:
    UserError: a name is missing or too many, or an array has another shape or
      no floating-point numbers.
  """
  names.check("VGG-16", state_dict, _vgg16_shapes(vgg.Head()))
  return _layers(state_dict, "features", layouts.CONV)


def vgg16_head(
  state_dict: Mapping[str, np.ndarray], head: vgg.Head | None = None
) -> dict[str, Any]:
  """Parameters of `vgg.Head`, from the state dict that `vgg16` takes.

  Args:
    state_dict: torchvision's arrays by name.
    head: network that is expected; by default the published one.

  Returns:
    {layer: {`kernel`, `bias`}}, float32.

  Raises:
    UserError: the state dict is of another network, see `check`.
  """
  shapes = _vgg16_shapes(head or vgg.Head())
  names.check("VGG-16", state_dict, shapes)
  wanted = {
    name: array
    for name, array in state_dict.items()
    if not name.startswith("classifier.6.")
  }
  params = _layers(wanted, "classifier", layouts.LINEAR)
  first = params["classifier_0"]
  first["kernel"] = _channels_last(first["kernel"])
  return params


def alexnet(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Parameters of `alexnet.AlexNet`; the classifier is checked and left out.

  Args:
    state_dict: torchvision's arrays by name.

  Returns:
    {layer: {`kernel`, `bias`}}, float32.

  Raises:
    UserError: the state dict is of another network, see `check`.
  """
  shapes = _conv_shapes(alexnet_model.AlexNet(), alexnet_model.SMALLEST_SIDE)
  shapes |= _linear_shapes(_ALEXNET_CLASSIFIER)
  names.check("AlexNet", state_dict, shapes)
  return _layers(state_dict, "features", layouts.CONV)


def lpips_linear(
  state_dict: Mapping[str, np.ndarray], channels: Sequence[int]
) -> list[np.ndarray]:
  """The weights of LPIPS for the channels of each map.

  Args:
    state_dict: arrays `lin0.model.1.weight` and so on, (1, C, 1, 1).
    channels: number of channels C of each map.

  Returns:
    An array (C,) float32 for each map, none negative.

  Raises:
    UserError: the state dict is of another network, see `check`, or a weight is
      negative or NaN.
  """
  shapes: names.Shapes = {
    f"lin{k}.model.1.weight": (1, num, 1, 1) for k, num in enumerate(channels)
  }
  names.check("LPIPS's linear layers for this network", state_dict, shapes)
  for name in shapes:
    if not (np.asarray(state_dict[name]) >= 0).all():
      raise errors.UserError(
        f"The weights {name!r} are not all >= 0, as LPIPS's weights are; "
        "give the published file of version 0.1."
      )
  return [_float32(state_dict[name]).reshape(-1) for name in shapes]


def _vgg16_shapes(head: vgg.Head) -> names.Shapes:
  hidden = head.hidden
  inputs = vgg.CHANNELS[-1] * vgg.POOLED_SIDE**2
  sizes = {0: (hidden, inputs), 3: (hidden, hidden), 6: (_CLASSES, hidden)}
  return _conv_shapes(vgg.VGG16(), vgg.SMALLEST_SIDE) | _linear_shapes(sizes)


def _conv_shapes(net: nn.Module, side: int) -> names.Shapes:
  """Shapes of the convolutions of `net` in the state dict."""
  images = jnp.zeros((1, side, side, 3))
  params = jax.eval_shape(net.init, jax.random.key(0), images)["params"]
  shapes: names.Shapes = {}
  for layer, arrays in params.items():
    height, width, inputs, outputs = arrays["kernel"].shape
    name = layer.replace("_", ".")
    shapes[f"{name}.weight"] = (outputs, inputs, height, width)
    shapes[f"{name}.bias"] = (outputs,)
  return shapes


def _linear_shapes(sizes: Mapping[int, tuple[int, int]]) -> names.Shapes:
  shapes: names.Shapes = {}
  for number, (outputs, inputs) in sizes.items():
    shapes[f"classifier.{number}.weight"] = (outputs, inputs)
    shapes[f"classifier.{number}.bias"] = (outputs,)
  return shapes


def _layers(
  state_dict: Mapping[str, np.ndarray], part: str, layout: layouts.Layout
) -> dict[str, Any]:
  """The layers of one part, `features.0` as `features_0`."""
  params = {}
  for name in _in_part(state_dict, part):
    weight = layout.weight(np.asarray(state_dict[f"{name}.weight"]))
    params[name.replace(".", "_")] = {
      layout.name: _float32(weight),
      "bias": _float32(state_dict[f"{name}.bias"]),
    }
  return params


def _in_part(names: Iterable[str], part: str) -> list[str]:
  """Layers `part.N` that have a weight among the names."""
  return [
    name.removesuffix(".weight")
    for name in names
    if name.startswith(f"{part}.") and name.endswith(".weight")
  ]


def _channels_last(kernel: np.ndarray) -> np.ndarray:
  """Rows for inputs flattened as (C, 7, 7) -> rows for (7, 7, C)."""
  side = vgg.POOLED_SIDE
  rows = kernel.reshape(-1, side, side, kernel.shape[-1])
  return np.ascontiguousarray(np.moveaxis(rows, 0, 2).reshape(kernel.shape))


def _float32(array: Any) -> np.ndarray:
  return np.array(array, np.float32, order="C")

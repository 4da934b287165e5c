"""Converts EfficientNet-Lite0's PyTorch state dict to parameters here.

A convolution and the batch norm behind it become one layer: with the statistics
of training fixed, the norm scales and shifts each channel. The sums are in
float64.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from pseudovideo.pretrained.from_torch import names
from pseudovideo.pretrained.networks import efficientnet_lite as model

# Added to the variances by TensorFlow's network and by the PyTorch package.
EPSILON = 1e-3
_NORM = ("weight", "bias", "running_mean", "running_var")


class _Layer(NamedTuple):
  """A convolution with its norm.

  Attributes:
    ours: path of the layer in the parameters.
    conv: name of the convolution in the state dict.
    norm: name of the norm in the state dict.
    shape: (out, in / groups, height, width).
  """

  ours: tuple[str, ...]
  conv: str
  norm: str
  shape: tuple[int, int, int, int]


def _layers() -> Iterator[_Layer]:
  stem = model.STEM_CHANNELS
  yield _Layer(("stem",), "_conv_stem", "_bn0", (stem, 3, 3, 3))
  for place, block in enumerate(model.blocks()):
    kernel, _, expansion, inputs, channels = block
    inside = expansion * inputs
    parts = [
      ("expand", "_expand_conv", "_bn0", (inside, inputs, 1, 1)),
      ("depthwise", "_depthwise_conv", "_bn1", (inside, 1, kernel, kernel)),
      ("project", "_project_conv", "_bn2", (channels, inside, 1, 1)),
    ]
    for ours, conv, norm, shape in parts[expansion == 1 :]:
      start = f"_blocks.{place}."
      yield _Layer((f"block{place}", ours), start + conv, start + norm, shape)
  last = model.blocks()[-1].channels
  yield _Layer(
    ("head",), "_conv_head", "_bn1", (model.NUM_FEATURES, last, 1, 1)
  )


def expected() -> names.Shapes:
  """The shape of every array of the state dict by name, without counters."""
  shapes: names.Shapes = {}
  for layer in _layers():
    shapes[f"{layer.conv}.weight"] = layer.shape
    shapes |= {f"{layer.norm}.{name}": layer.shape[:1] for name in _NORM}
  shapes["_fc.weight"] = (model.NUM_CLASSES, model.NUM_FEATURES)
  shapes["_fc.bias"] = (model.NUM_CLASSES,)
  return shapes


def to_flax(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Variables of `EfficientNetLite0` from its state dict.

  Args:
    state_dict: arrays by name, such as `_blocks.0._depthwise_conv.weight`.

  Returns:
    Nested dicts of float32 arrays, `params`.

  Raises:
    UserError: a name is missing or too many, or an array has another shape or
      no floating-point numbers.
  """
  counters = {f"{layer.norm}.num_batches_tracked" for layer in _layers()}
  arrays = {n: a for n, a in state_dict.items() if n not in counters}
  names.check("EfficientNet-Lite0 for 1000 classes", arrays, expected())
  params: dict[tuple[str, ...], np.ndarray] = {}
  for layer in _layers():
    kernel, bias = _folded(arrays, layer)
    params[*layer.ours, "kernel"] = np.array(kernel, np.float32, order="C")
    params[*layer.ours, "bias"] = bias.astype(np.float32)
  params["logits", "kernel"] = np.array(
    arrays["_fc.weight"].T, np.float32, order="C"
  )
  params["logits", "bias"] = arrays["_fc.bias"].astype(np.float32)
  return {"params": traverse_util.unflatten_dict(params)}


def _folded(
  arrays: Mapping[str, np.ndarray], layer: _Layer
) -> tuple[np.ndarray, np.ndarray]:
  """Kernel, in our order of axes, and bias of a layer, float64."""
  scale, shift, mean, var = (
    arrays[f"{layer.norm}.{name}"].astype(np.float64) for name in _NORM
  )
  gain = scale / np.sqrt(var + EPSILON)
  kernel = arrays[f"{layer.conv}.weight"].astype(np.float64)
  kernel = kernel.transpose(2, 3, 1, 0) * gain
  if layer.shape[1] == 1:  # Depthwise: (height, width, 1, channels).
    kernel = kernel[:, :, 0]
  elif layer.shape[2] == 1:  # A matrix, as `nn.Dense` has it.
    kernel = kernel[0, 0]
  return kernel, shift - mean * gain

"""EfficientNet-Lite0 in float64 numpy, on its state dict.

Written from the paper's table of B0 and the description of the Lite networks:
channels first, batch norms as they stand, padding as TensorFlow's `SAME`.
"""

import functools

import numpy as np

from tests import rule_weights

EPSILON = 1e-3
# Repeats, kernel, stride of the first, expansion, channels.
_TABLE = """
1 3 1 1 16
2 3 2 6 24
2 5 2 6 40
3 3 2 6 80
3 5 1 6 112
4 5 2 6 192
1 3 1 6 320"""


def _rows():
  """For each block: its name, kernel, stride, and sizes of convolutions."""
  inputs, number = 32, 0
  for line in _TABLE.split("\n")[1:]:
    repeats, kernel, stride, expansion, channels = map(int, line.split())
    for place in range(repeats):
      yield (
        f"_blocks.{number}",
        kernel,
        1 if place else stride,
        expansion,
        (
          inputs,
          channels,
        ),
      )
      inputs, number = channels, number + 1


def convolutions():
  """Name of each convolution, name of its norm, shape of its weight."""
  yield "_conv_stem", "_bn0", (32, 3, 3, 3)
  for name, kernel, _, expansion, (inputs, channels) in _rows():
    inside = inputs * expansion
    if expansion > 1:
      yield f"{name}._expand_conv", f"{name}._bn0", (inside, inputs, 1, 1)
    depthwise = (inside, 1, kernel, kernel)
    yield f"{name}._depthwise_conv", f"{name}._bn1", depthwise
    yield f"{name}._project_conv", f"{name}._bn2", (channels, inside, 1, 1)
  yield "_conv_head", "_bn1", (1280, 320, 1, 1)


@functools.cache
def state_dict():
  """All arrays, by the rule; do not change them."""
  rule, arrays = rule_weights.rule, {}
  for conv, norm, shape in convolutions():
    arrays[f"{conv}.weight"] = rule(f"{conv}.weight", shape, "conv")
    for part, kind in [
      ("weight", "scale"),
      ("bias", "bias"),
      ("running_mean", "mean"),
      ("running_var", "var"),
    ]:
      arrays[f"{norm}.{part}"] = rule(f"{norm}.{part}", shape[:1], kind)
    arrays[f"{norm}.num_batches_tracked"] = np.array(0)
  arrays["_fc.weight"] = rule("_fc.weight", (1000, 1280), "linear")
  arrays["_fc.bias"] = rule("_fc.bias", (1000,), "bias")
  return arrays


def _conv(x, weight, stride):
  """x (B, C, H, W); a weight of one input channel acts on each by itself."""
  side = weight.shape[-1]
  sizes = [-(-size // stride) for size in x.shape[2:]]
  lacking = [
    max(0, (out - 1) * stride + side - size)
    for out, size in zip(sizes, x.shape[2:], strict=True)
  ]
  pads = [(lack // 2, lack - lack // 2) for lack in lacking]
  x = np.pad(x, [(0, 0), (0, 0), *pads])
  windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (2, 3))
  windows = windows[:, :, ::stride, ::stride]
  if weight.shape[1] == 1:
    return np.einsum("bchwij,cij->bchw", windows, weight[:, 0])
  return np.einsum("bchwij,ocij->bohw", windows, weight, optimize=True)


def forward(arrays, x):
  """Features (B, 1280) and logits (B, 1000) of x (B, 3, H, W), float64."""
  arrays = {name: np.float64(array) for name, array in arrays.items()}

  def unit(x, conv, norm, stride=1, clip=True):
    x = _conv(x, arrays[f"{conv}.weight"], stride)
    scale, shift, mean, var = (
      arrays[f"{norm}.{part}"][:, None, None]
      for part in ("weight", "bias", "running_mean", "running_var")
    )
    x = (x - mean) / np.sqrt(var + EPSILON) * scale + shift
    return np.minimum(np.maximum(x, 0), 6) if clip else x

  x = unit(np.float64(x), "_conv_stem", "_bn0", 2)
  for name, _, stride, expansion, (inputs, channels) in _rows():
    y = x
    if expansion > 1:
      y = unit(y, f"{name}._expand_conv", f"{name}._bn0")
    y = unit(y, f"{name}._depthwise_conv", f"{name}._bn1", stride)
    y = unit(y, f"{name}._project_conv", f"{name}._bn2", clip=False)
    x = x + y if stride == 1 and inputs == channels else y
  features = unit(x, "_conv_head", "_bn1").mean((2, 3))
  return features, features @ arrays["_fc.weight"].T + arrays["_fc.bias"]

"""VGG-16, AlexNet, I3D and LPIPS in float64 numpy, on published state dicts.

Written from their descriptions alone: channels first, layers listed as in the
papers, convolutions and pools as loops over the positions of the window.
"""

import itertools
import math

import numpy as np

from tests import rule_weights

# Outputs of each convolution of configuration D; M is a pool.
VGG = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M"]
VGG += [512, 512, 512, "M"]
# Number, inputs, outputs, kernel, stride, padding.
ALEXNET = [
  (0, 3, 64, 11, 4, 2),
  (3, 64, 192, 5, 1, 2),
  (6, 192, 384, 3, 1, 1),
  (8, 384, 256, 3, 1, 1),
  (10, 256, 256, 3, 1, 1),
]
# Inputs, then outputs of 1x1, 3x3 reduce, 3x3, second reduce and 3x3, pool
# projection: Table 1 of Szegedy et al. 2015, changed as Carreira & Zisserman
# released it.
INCEPTION = {
  "3b": (192, 64, 96, 128, 16, 32, 32),
  "3c": (256, 128, 128, 192, 32, 96, 64),
  "4b": (480, 192, 96, 208, 16, 48, 64),
  "4c": (512, 160, 112, 224, 24, 64, 64),
  "4d": (512, 128, 128, 256, 24, 64, 64),
  "4e": (512, 112, 144, 288, 32, 64, 64),
  "4f": (528, 256, 160, 320, 32, 128, 128),
  "5b": (832, 256, 160, 320, 32, 128, 128),
  "5c": (832, 384, 192, 384, 48, 128, 128),
}


def relative_error(ours, expected):
  return np.linalg.norm(ours - expected) / np.linalg.norm(expected)


def _with_bias(name, shape, kind):
  return {
    f"{name}.weight": (shape, kind),
    f"{name}.bias": (shape[:1], "bias"),
  }


def vgg16_arrays(hidden=4096):
  """{name: (shape, kind of rule)}."""
  arrays, number, inputs = {}, 0, 3
  for outputs in VGG:
    if outputs == "M":
      number += 1
      continue
    shape = (outputs, inputs, 3, 3)
    arrays |= _with_bias(f"features.{number}", shape, "conv")
    number, inputs = number + 2, outputs
  for number, outputs, inputs in [
    (0, hidden, 512 * 7 * 7),
    (3, hidden, hidden),
    (6, 1000, hidden),
  ]:
    arrays |= _with_bias(f"classifier.{number}", (outputs, inputs), "linear")
  return arrays


def alexnet_arrays():
  arrays = {}
  for number, inputs, outputs, kernel, _, _ in ALEXNET:
    shape = (outputs, inputs, kernel, kernel)
    arrays |= _with_bias(f"features.{number}", shape, "conv")
  for number, outputs, inputs in [
    (1, 4096, 256 * 6 * 6),
    (4, 4096, 4096),
    (6, 1000, 4096),
  ]:
    arrays |= _with_bias(f"classifier.{number}", (outputs, inputs), "linear")
  return arrays


def i3d_arrays():
  """Without the counters of batches."""
  units = [
    ("Conv3d_1a_7x7", 3, 64, 7),
    ("Conv3d_2b_1x1", 64, 64, 1),
    ("Conv3d_2c_3x3", 64, 192, 3),
  ]
  for block, (inputs, c0, c1a, c1b, c2a, c2b, c3) in INCEPTION.items():
    units += [
      (f"Mixed_{block}.b0", inputs, c0, 1),
      (f"Mixed_{block}.b1a", inputs, c1a, 1),
      (f"Mixed_{block}.b1b", c1a, c1b, 3),
      (f"Mixed_{block}.b2a", inputs, c2a, 1),
      (f"Mixed_{block}.b2b", c2a, c2b, 3),
      (f"Mixed_{block}.b3b", inputs, c3, 1),
    ]
  arrays = {}
  for name, inputs, outputs, kernel in units:
    shape = (outputs, inputs, kernel, kernel, kernel)
    arrays[f"{name}.conv3d.weight"] = (shape, "conv")
    for last, kind in [
      ("weight", "scale"),
      ("bias", "bias"),
      ("running_mean", "mean"),
      ("running_var", "var"),
    ]:
      arrays[f"{name}.bn.{last}"] = ((outputs,), kind)
  logits = (400, 1024, 1, 1, 1)
  return arrays | _with_bias("logits.conv3d", logits, "linear")


def make(arrays, empty=()):
  """A state dict by the rule; names that start as `empty` are not computed."""
  return {
    name: np.broadcast_to(np.float32(0), shape)
    if name.startswith(empty)
    else rule_weights.rule(name, shape, kind)
    for name, (shape, kind) in arrays.items()
  }


def lpips_linear(channels):
  """None negative."""
  names = [f"lin{k}.model.1.weight" for k in range(len(channels))]
  return {
    name: np.float32(rule_weights.uniform(name, (1, num, 1, 1)))
    for name, num in zip(names, channels, strict=True)
  }


def _windows(x, kernel, strides, pads, value):
  """The padded array as each position of the window sees it."""
  x = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=value)
  counts = [
    (size - k) // s + 1
    for size, k, s in zip(x.shape[2:], kernel, strides, strict=True)
  ]
  for offsets in itertools.product(*map(range, kernel)):
    index = tuple(
      slice(o, o + s * (n - 1) + 1, s)
      for o, s, n in zip(offsets, strides, counts, strict=True)
    )
    yield offsets, x[(slice(None), slice(None), *index)]


def convolve(x, weight, strides, pads):
  """(N, C, ...) with a kernel (O, C, ...)."""
  weight, out = np.float64(weight), 0
  for offsets, window in _windows(x, weight.shape[2:], strides, pads, 0):
    tap = weight[(slice(None), slice(None), *offsets)]
    out = out + np.tensordot(tap, window, (1, 1))
  return out.swapaxes(0, 1)


def max_pool(x, kernel, strides, pads):
  windows = _windows(x, kernel, strides, pads, -np.inf)
  return np.max([window for _, window in windows], axis=0)


def per_channel(array, like):
  return np.float64(array).reshape(-1, *(1,) * (like.ndim - 2))


def same(sizes, kernel, strides):
  """TensorFlow's padding: the odd one comes last."""
  pads = []
  for size, k, s in zip(sizes, kernel, strides, strict=True):
    total = max((math.ceil(size / s) - 1) * s + k - size, 0)
    pads.append((total // 2, total - total // 2))
  return pads


def _convolution(sd, name, x, stride, pad):
  weight, bias = sd[f"{name}.weight"], sd[f"{name}.bias"]
  x = convolve(x, weight, [stride] * 2, [(pad, pad)] * 2)
  return x + per_channel(bias, x)


def vgg16(sd, x):
  """(N, 3, H, W) -> the five maps before the pools."""
  maps, number = [], 0
  for outputs in VGG:
    if outputs == "M":
      maps.append(x)
      x = max_pool(x, (2, 2), (2, 2), [(0, 0)] * 2)
      number += 1
    else:
      x = np.maximum(_convolution(sd, f"features.{number}", x, 1, 1), 0)
      number += 2
  return maps


def fc7(sd, x):
  """The last of the maps -> (N, hidden)."""
  x = max_pool(x, (2, 2), (2, 2), [(0, 0)] * 2)
  height, width = x.shape[2:]
  pooled = np.empty((*x.shape[:2], 7, 7))
  for i, j in np.ndindex(7, 7):
    top, bottom = math.floor(i * height / 7), math.ceil((i + 1) * height / 7)
    left, right = math.floor(j * width / 7), math.ceil((j + 1) * width / 7)
    pooled[:, :, i, j] = x[:, :, top:bottom, left:right].mean((2, 3))
  x = pooled.reshape(len(x), -1)
  for name in ("classifier.0", "classifier.3"):
    x = np.maximum(x @ sd[f"{name}.weight"].T + sd[f"{name}.bias"], 0)
  return x


def alexnet(sd, x):
  """(N, 3, H, W) -> the five maps behind the ReLUs."""
  maps = []
  for number, _, _, _, stride, pad in ALEXNET:
    if number in (3, 6):
      x = max_pool(x, (3, 3), (2, 2), [(0, 0)] * 2)
    x = np.maximum(_convolution(sd, f"features.{number}", x, stride, pad), 0)
    maps.append(x)
  return maps


def lpips(maps1, maps2, linear):
  """Zhang et al. 2018, Eq. 1, with weights on the squares: (N,)."""
  total = 0
  for k, (x, y) in enumerate(zip(maps1, maps2, strict=True)):
    x, y = (a / (np.sqrt((a**2).sum(1, keepdims=True)) + 1e-10) for a in (x, y))
    weight = np.float64(linear[f"lin{k}.model.1.weight"])
    total = total + ((x - y) ** 2 * weight).sum(1).mean((1, 2))
  return total


def lpips_input(images):
  """(N, H, W, 3) uint8 -> (N, 3, H, W)."""
  x = np.moveaxis(images / 127.5 - 1, -1, 1)
  shift = np.array([-0.030, -0.088, -0.188])
  scale = np.array([0.458, 0.448, 0.450])
  return (x - per_channel(shift, x)) / per_channel(scale, x)


def i3d_unit(sd, name, x, stride, epsilon):
  weight = sd[f"{name}.conv3d.weight"]
  strides = [stride] * 3
  pads = same(x.shape[2:], weight.shape[2:], strides)
  x = convolve(x, weight, strides, pads)
  scale, bias, mean, var = (
    per_channel(sd[f"{name}.bn.{last}"], x)
    for last in ("weight", "bias", "running_mean", "running_var")
  )
  x = (x - mean) / np.sqrt(var + epsilon) * scale + bias
  return np.maximum(x, 0)


def same_max_pool(x, kernel, strides):
  return max_pool(x, kernel, strides, same(x.shape[2:], kernel, strides))


def inception_block(sd, name, x, epsilon):
  def unit(branch, x):
    return i3d_unit(sd, f"{name}.{branch}", x, 1, epsilon)

  branches = [
    unit("b0", x),
    unit("b1b", unit("b1a", x)),
    unit("b2b", unit("b2a", x)),
    unit("b3b", same_max_pool(x, (3, 3, 3), (1, 1, 1))),
  ]
  return np.concatenate(branches, axis=1)


def i3d(sd, x, epsilon, window):
  """(N, 3, T, H, W) -> (N, 400)."""
  x = i3d_unit(sd, "Conv3d_1a_7x7", x, 2, epsilon)
  x = same_max_pool(x, (1, 3, 3), (1, 2, 2))
  x = i3d_unit(sd, "Conv3d_2b_1x1", x, 1, epsilon)
  x = i3d_unit(sd, "Conv3d_2c_3x3", x, 1, epsilon)
  x = same_max_pool(x, (1, 3, 3), (1, 2, 2))
  for block in INCEPTION:
    if block == "4b":
      x = same_max_pool(x, (3, 3, 3), (2, 2, 2))
    if block == "5b":
      x = same_max_pool(x, (2, 2, 2), (2, 2, 2))
    x = inception_block(sd, f"Mixed_{block}", x, epsilon)
  seen = _windows(x, window, (1, 1, 1), [(0, 0)] * 3, 0)
  x = np.mean([part for _, part in seen], axis=0)
  x = convolve(x, sd["logits.conv3d.weight"], (1, 1, 1), [(0, 0)] * 3)
  x = x + per_channel(sd["logits.conv3d.bias"], x)
  return x.mean((2, 3, 4))

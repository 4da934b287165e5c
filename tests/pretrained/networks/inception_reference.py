"""Inception-v3 of the FID in float64 numpy, on its state dict.

Written from the description alone: channels first, convolutions as sums over
the kernel, pools as loops over the window, and shapes in a table.
"""

import functools

import numpy as np

from tests import rule_weights

_A = """
branch1x1 64 x 1 1
branch5x5_1 48 x 1 1
branch5x5_2 64 48 5 5
branch3x3dbl_1 64 x 1 1
branch3x3dbl_2 96 64 3 3
branch3x3dbl_3 96 96 3 3
branch_pool p x 1 1"""
_B = """
branch3x3 384 x 3 3
branch3x3dbl_1 64 x 1 1
branch3x3dbl_2 96 64 3 3
branch3x3dbl_3 96 96 3 3"""
_C = """
branch1x1 192 x 1 1
branch7x7_1 p x 1 1
branch7x7_2 p p 1 7
branch7x7_3 192 p 7 1
branch7x7dbl_1 p x 1 1
branch7x7dbl_2 p p 7 1
branch7x7dbl_3 p p 1 7
branch7x7dbl_4 p p 7 1
branch7x7dbl_5 192 p 1 7
branch_pool 192 x 1 1"""
_D = """
branch3x3_1 192 x 1 1
branch3x3_2 320 192 3 3
branch7x7x3_1 192 x 1 1
branch7x7x3_2 192 192 1 7
branch7x7x3_3 192 192 7 1
branch7x7x3_4 192 192 3 3"""
_E = """
branch1x1 320 x 1 1
branch3x3_1 384 x 1 1
branch3x3_2a 384 384 1 3
branch3x3_2b 384 384 3 1
branch3x3dbl_1 448 x 1 1
branch3x3dbl_2 384 448 3 3
branch3x3dbl_3a 384 384 1 3
branch3x3dbl_3b 384 384 3 1
branch_pool 192 x 1 1"""
# Name, table, and the numbers that x (the input) and p stand for in it.
_BLOCKS = [
  ("Mixed_5b", _A, 192, 32),
  ("Mixed_5c", _A, 256, 64),
  ("Mixed_5d", _A, 288, 64),
  ("Mixed_6a", _B, 288, 0),
  ("Mixed_6b", _C, 768, 128),
  ("Mixed_6c", _C, 768, 160),
  ("Mixed_6d", _C, 768, 160),
  ("Mixed_6e", _C, 768, 192),
  ("Mixed_7a", _D, 768, 0),
  ("Mixed_7b", _E, 1280, 0),
  ("Mixed_7c", _E, 2048, 0),
]
_STEM = [
  ("Conv2d_1a_3x3", (32, 3, 3, 3)),
  ("Conv2d_2a_3x3", (32, 32, 3, 3)),
  ("Conv2d_2b_3x3", (64, 32, 3, 3)),
  ("Conv2d_3b_1x1", (80, 64, 1, 1)),
  ("Conv2d_4a_3x3", (192, 80, 3, 3)),
]


def convolutions():
  """Names and shapes of the 94 convolutions' weights."""
  yield from _STEM
  for block, table, inputs, p in _BLOCKS:
    for line in table.strip().splitlines():
      name, *sizes = line.split()
      known = {"x": inputs, "p": p}
      shape = tuple(
        known[size] if size in known else int(size) for size in sizes
      )
      yield f"{block}.{name}", shape


@functools.cache
def state_dict():
  """All 566 entries, by the rule; do not change them."""
  rule = rule_weights.rule
  arrays = {}
  for name, shape in convolutions():
    arrays[f"{name}.conv.weight"] = rule(f"{name}.conv.weight", shape, "conv")
    for part, kind in [
      ("weight", "scale"),
      ("bias", "bias"),
      ("running_mean", "mean"),
      ("running_var", "var"),
    ]:
      entry = f"{name}.bn.{part}"
      arrays[entry] = rule(entry, shape[:1], kind)
    arrays[f"{name}.bn.num_batches_tracked"] = np.array(0)
  arrays["fc.weight"] = rule("fc.weight", (1008, 2048), "linear")
  arrays["fc.bias"] = rule("fc.bias", (1008,), "bias")
  return arrays


def _windows(x, height, width, stride=1, pad=(0, 0), value=0.0):
  """Views of x (B, C, H, W), one for each place in the window."""
  sides = ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1]))
  x = np.pad(x, sides, constant_values=value)
  down = x.shape[2] - height + 1
  right = x.shape[3] - width + 1
  for i in range(height):
    for j in range(width):
      yield i, j, x[:, :, i : i + down : stride, j : j + right : stride]


def max_pool(x, stride=2, pad=0):
  windows = _windows(x, 3, 3, stride, (pad, pad), -np.inf)
  return functools.reduce(np.maximum, (window for _, _, window in windows))


def average_pool(x, count_padding=False):
  """3x3, stride 1; what lies outside counts or does not."""
  total = sum(window for _, _, window in _windows(x, 3, 3, pad=(1, 1)))
  if count_padding:
    return total / 9
  inside = np.ones((1, 1, *x.shape[2:]))
  return total / sum(w for _, _, w in _windows(inside, 3, 3, pad=(1, 1)))


class Network:
  """The network, and how it would be with a mistake in it.

  Attributes:
    eps: of batch normalization.
    count_padding: average pools count what lies outside.
    average_in_7c: instead of the maximum.
  """

  def __init__(self, sd, eps=1e-3, count_padding=False, average_in_7c=False):
    self.sd = sd
    self.eps = eps
    self.count_padding = count_padding
    self.average_in_7c = average_in_7c

  def unit(self, name, x, stride=1, same=True):
    weight = np.float64(self.sd[f"{name}.conv.weight"])
    height, width = weight.shape[2:]
    pad = (height // 2, width // 2) if same else (0, 0)
    out = 0.0
    for i, j, window in _windows(x, height, width, stride, pad):
      flat = window.reshape(*window.shape[:2], -1)
      out = out + weight[:, :, i, j] @ flat
    out = out.reshape(*out.shape[:2], *window.shape[2:])
    scale, shift, mean, var = (
      np.float64(self.sd[f"{name}.bn.{part}"])[:, None, None]
      for part in ("weight", "bias", "running_mean", "running_var")
    )
    out = (out - mean) / np.sqrt(var + self.eps) * scale + shift
    return np.maximum(out, 0)

  def chain(self, block, names, x):
    for name in names.split():
      x = self.unit(f"{block}.{name}", x)
    return x

  def average(self, x):
    return average_pool(x, self.count_padding)

  def block_a(self, block, x):
    return [
      self.chain(block, "branch1x1", x),
      self.chain(block, "branch5x5_1 branch5x5_2", x),
      self.chain(block, "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", x),
      self.chain(block, "branch_pool", self.average(x)),
    ]

  def block_b(self, block, x):
    double = self.chain(block, "branch3x3dbl_1 branch3x3dbl_2", x)
    return [
      self.unit(f"{block}.branch3x3", x, 2, False),
      self.unit(f"{block}.branch3x3dbl_3", double, 2, False),
      max_pool(x),
    ]

  def block_c(self, block, x):
    single = " ".join(f"branch7x7_{i}" for i in (1, 2, 3))
    double = " ".join(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5))
    return [
      self.chain(block, "branch1x1", x),
      self.chain(block, single, x),
      self.chain(block, double, x),
      self.chain(block, "branch_pool", self.average(x)),
    ]

  def block_d(self, block, x):
    short = self.chain(block, "branch3x3_1", x)
    long = self.chain(block, "branch7x7x3_1 branch7x7x3_2 branch7x7x3_3", x)
    return [
      self.unit(f"{block}.branch3x3_2", short, 2, False),
      self.unit(f"{block}.branch7x7x3_4", long, 2, False),
      max_pool(x),
    ]

  def block_e(self, block, x):
    single = self.chain(block, "branch3x3_1", x)
    double = self.chain(block, "branch3x3dbl_1 branch3x3dbl_2", x)
    if block == "Mixed_7c" and not self.average_in_7c:
      pooled = max_pool(x, 1, 1)
    else:
      pooled = self.average(x)
    return [
      self.chain(block, "branch1x1", x),
      self.chain(block, "branch3x3_2a", single),
      self.chain(block, "branch3x3_2b", single),
      self.chain(block, "branch3x3dbl_3a", double),
      self.chain(block, "branch3x3dbl_3b", double),
      self.chain(block, "branch_pool", pooled),
    ]

  def __call__(self, x):
    """(B, 3, 299, 299) in [-1, 1] -> the same names as the model's."""
    out = {}
    x = self.unit("Conv2d_1a_3x3", x, 2, False)
    x = self.unit("Conv2d_2a_3x3", x, 1, False)
    x = max_pool(self.unit("Conv2d_2b_3x3", x))
    out["64"] = x.mean((2, 3))
    x = self.unit("Conv2d_3b_1x1", x)
    x = max_pool(self.unit("Conv2d_4a_3x3", x, 1, False))
    out["192"] = x.mean((2, 3))
    kinds = {
      _A: self.block_a,
      _B: self.block_b,
      _C: self.block_c,
      _D: self.block_d,
      _E: self.block_e,
    }
    for block, table, *_ in _BLOCKS:
      x = np.concatenate(kinds[table](block, x), axis=1)
      if block == "Mixed_6e":
        out["768"] = x.mean((2, 3))
    out["2048"] = x.mean((2, 3))
    unbiased = out["2048"] @ np.float64(self.sd["fc.weight"]).T
    out["logits_unbiased"] = unbiased
    out["logits"] = unbiased + np.float64(self.sd["fc.bias"])
    return out

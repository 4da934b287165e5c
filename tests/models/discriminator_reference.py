"""The discriminator in float64 numpy, from its description.

Channels last; convolutions as sums over the taps of the window, pixels moved
into channels explicitly.
"""

import numpy as np

SLOPE = 0.1


def _leaky(x):
  return np.where(x > 0, x, SLOPE * x)


def _conv3(x, p):
  side = x.shape[1]
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  taps = [
    padded[:, i : i + side, j : j + side] @ p["kernel"][i, j]
    for i in range(3)
    for j in range(3)
  ]
  return sum(taps) + p["bias"]


def _space_to_depth(x):
  """(B, S, S, C) -> (B, S/2, S/2, 4C); channels by row, column, channel."""
  corners = [x[:, i::2, j::2] for i in range(2) for j in range(2)]
  return np.concatenate(corners, axis=-1)


def _block(x, p, downsample):
  skip = x[:, ::2, ::2] if downsample else x
  skip = skip @ p["skip"]["kernel"][0, 0] + p["skip"]["bias"]
  x = _leaky(_conv3(x, p["conv_in"]))
  x = _leaky(_conv3(x, p["conv_out"]))
  if downsample:
    kernel = p["down"]["kernel"]
    x = _space_to_depth(x) @ kernel.reshape(-1, kernel.shape[-1])
    x = x + p["down"]["bias"]
  return (x + skip) / np.sqrt(2)


def attention(x, p, heads):
  """Head by head, with the residual."""
  b, side, _, c = x.shape
  flat = x.reshape(b, side * side, c)
  centred = flat - flat.mean(-1, keepdims=True)
  variance = (centred**2).mean(-1, keepdims=True)
  normed = centred / np.sqrt(variance + 1e-5) * p["norm"]["scale"]
  query = normed @ p["query"]["kernel"]
  key, value = np.split(flat @ p["key_value"]["kernel"], 2, axis=-1)
  outs = []
  for q, k, v in zip(
    *(np.split(a, heads, axis=-1) for a in (query, key, value)), strict=True
  ):
    q = q / np.linalg.norm(q, axis=-1, keepdims=True) * p["query_gain"]
    k = k / np.linalg.norm(k, axis=-1, keepdims=True) * p["key_gain"]
    weights = np.exp(8 * q @ k.swapaxes(1, 2))
    outs.append(weights / weights.sum(-1, keepdims=True) @ v)
  out = np.concatenate(outs, axis=-1) @ p["out"]["kernel"]
  return x + out.reshape(x.shape)


def logits(p, x, *, attention_side, heads):
  """(B, S, S, C) -> (B,)."""
  blocks = sum(name.startswith("block") for name in p)
  for k in range(blocks):
    side = x.shape[1]
    x = _block(x, p[f"block_{k}"], downsample=k < blocks - 1)
    if side == attention_side:
      x = attention(x, p["attention"], heads)
  x = _leaky(_conv3(x, p["conv"])).reshape(len(x), -1)
  return (x @ p["logit"]["kernel"] + p["logit"]["bias"])[:, 0]


def slopes(function, x, step=1e-5):
  """(B, ...) central differences of function: (B, ...) -> (B,)."""
  flat = x.reshape(len(x), -1)
  moves = step * np.eye(flat.shape[1])
  ends = [
    function((flat[:, None] + sign * moves).reshape(-1, *x.shape[1:]))
    for sign in (1, -1)
  ]
  return ((ends[0] - ends[1]) / (2 * step)).reshape(x.shape)

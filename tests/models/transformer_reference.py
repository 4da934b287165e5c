"""The tokenizer and its transformers in float64 numpy, one video at a time.

Written from the description of the network alone, by loops over tokens, heads
and pairs of places; `p` is a nested dictionary of parameters.
"""

import itertools

import numpy as np
from scipy import signal, special


def norm(x, p):
  centred = x - x.mean(-1, keepdims=True)
  x = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
  return x * p["scale"] + p.get("bias", 0.0)


def linear(x, p):
  return x @ p["kernel"] + p["bias"]


def attend(x, p, heads, bias):
  """(N, D), (heads, N, N) -> (N, D)."""
  n = len(x)
  size = len(p["query_gain"])
  queries = norm(x, p["norm"]) @ p["query"]["kernel"]
  keys, values = np.split(x @ p["key_value"]["kernel"], 2, axis=-1)
  out = np.zeros((n, heads * size))
  for head, i in itertools.product(range(heads), range(n)):
    part = slice(head * size, (head + 1) * size)
    q = queries[i, part] / np.linalg.norm(queries[i, part]) * p["query_gain"]
    logits = np.zeros(n)
    for j in range(n):
      k = keys[j, part] / np.linalg.norm(keys[j, part]) * p["key_gain"]
      logits[j] = 8 * (q @ k) + bias[head, i, j]
    out[i, part] = special.softmax(logits) @ values[:, part]
  return out @ p["out"]["kernel"]


def feed_forward(x, p):
  h = norm(x, p["norm"]) @ p["up"]["kernel"]
  value, gate = np.split(h, 2, axis=-1)
  gelu = gate * (1 + special.erf(gate / np.sqrt(2))) / 2
  return (value * gelu) @ p["down"]["kernel"]


def peg(x, p, *, causal, scrambled=False):
  """(T, H, W, D) -> (T, H, W, D)."""
  shape = x.shape
  if scrambled:
    sequences = [x[:, i, j] for i, j in np.ndindex(*shape[1:3])]
    x = np.concatenate(sequences).reshape(shape)
  padded = np.pad(x, [(2, 0) if causal else (1, 1), (1, 1), (1, 1), (0, 0)])
  out = np.stack(
    [
      signal.correlate(padded[..., d], p["kernel"][..., d], mode="valid")
      for d in range(shape[-1])
    ],
    axis=-1,
  )
  out += p["bias"]
  if scrambled:
    back = np.zeros(shape)
    rows = out.reshape(-1, shape[0], shape[-1])
    for n, (i, j) in enumerate(np.ndindex(*shape[1:3])):
      back[:, i, j] = rows[n]
    out = back
  return out


def alibi(heads, length):
  bias = np.full((heads, length, length), -np.inf)
  for head, i in np.ndindex(heads, length):
    for j in range(i + 1):
      bias[head, i, j] = -(0.5 ** (8 * (head + 1) / heads)) * abs(i - j)
  return bias


def position_bias(grid, p):
  """All N^2 pairs of places, (heads, N, N)."""
  places = list(np.ndindex(*grid))
  rows = []
  for a in places:
    row = []
    for b in places:
      d = np.subtract(a, b).astype(np.float64)
      h = linear(np.sign(d) * np.log(1 + np.abs(d)), p["in"])
      h = linear(np.where(h > 0, h, 0.1 * h), p["hidden"])
      row.append(linear(np.where(h > 0, h, 0.1 * h), p["out"]))
    rows.append(row)
  return np.moveaxis(np.array(rows), 2, 0)


def stack(x, p, *, over, depth, heads, bias=None, scrambled=False):
  """(T, H, W, D) -> (T, H, W, D)."""
  t, h, w, d = x.shape
  if over == "time":
    bias = alibi(heads, t)
  x = x.copy()
  for n in range(depth):
    if over != "space":
      causal = over == "time"
      x += peg(x, p[f"layer_{n}_peg"], causal=causal, scrambled=scrambled)
    if over == "space":
      sequences = [(i, slice(None), slice(None)) for i in range(t)]
    elif over == "time":
      sequences = [(slice(None), i, j) for i, j in np.ndindex(h, w)]
    else:
      sequences = [(slice(None),) * 3]
    for where in sequences:
      s = x[where].reshape(-1, d)
      s = s + attend(s, p[f"layer_{n}_attention"], heads, bias)
      s = s + feed_forward(s, p[f"layer_{n}_feed_forward"])
      x[where] = s.reshape(x[where].shape)
  return norm(x, p["norm"])


def blocks(video, patch):
  """(T, H, W, C) -> (t, h, w, C p q r), block by block."""
  counts = [n // size for n, size in zip(video.shape, patch, strict=False)]
  out = np.zeros((*counts, int(np.prod(patch)) * video.shape[-1]))
  for place in np.ndindex(*counts):
    cut = [slice(n * s, (n + 1) * s) for n, s in zip(place, patch, strict=True)]
    channels = np.moveaxis(video[tuple(cut)], -1, 0)
    out[place] = channels.ravel()
  return out


def from_blocks(x, patch, channels):
  """The inverse of `blocks`."""
  shape = [n * size for n, size in zip(x.shape, patch, strict=False)]
  out = np.zeros((*shape, channels))
  for place in np.ndindex(*x.shape[:3]):
    cut = [slice(n * s, (n + 1) * s) for n, s in zip(place, patch, strict=True)]
    block = x[place].reshape(channels, *patch)
    out[tuple(cut)] = np.moveaxis(block, 0, -1)
  return out


def stem(video, p, patch):
  x = blocks(video, patch)
  if "norm_in" in p:
    x = norm(x, p["norm_in"])
  return norm(linear(x, p["linear"]), p["norm_out"])


def encode(video, p, net):
  """One video (T, H, W, C) -> (t, h, w, D); `net` gives the fields."""
  _, q, r = net.patch
  if net.frames == 1:
    x = stem(video, p["image_stem"], (1, q, r))
  elif net.grid == "first_frame":
    first = stem(video[:1], p["image_stem"], (1, q, r))
    rest = stem(video[1:], p["tubelet_stem"], net.patch)
    x = np.concatenate([first, rest])
  else:
    x = stem(video, p["tubelet_stem"], net.patch)
  bias = position_bias(x.shape[1:3], p["position_bias"])
  x = stack(
    x, p["encoder_space"], over="space", depth=net.spatial_layers,
    heads=net.heads, bias=bias,
  )  # fmt: skip
  return stack(
    x, p["encoder_time"], over="time", depth=net.temporal_layers,
    heads=net.heads, scrambled=net.scrambled_peg,
  )  # fmt: skip


def decode(latents, p, net):
  """(t, h, w, D) -> (T, H, W, C)."""
  _, q, r = net.patch
  x = stack(
    latents, p["decoder_time"], over="time", depth=net.temporal_layers,
    heads=net.heads, scrambled=net.scrambled_peg,
  )  # fmt: skip
  bias = position_bias(x.shape[1:3], p["position_bias"])
  x = stack(
    x, p["decoder_space"], over="space", depth=net.spatial_layers,
    heads=net.heads, bias=bias,
  )  # fmt: skip

  def head(x, name, patch):
    return from_blocks(linear(x, p[name]["linear"]), patch, net.channels)

  if net.frames == 1:
    return head(x, "image_head", (1, q, r))
  if net.grid == "first_frame":
    first = head(x[:1], "image_head", (1, q, r))
    rest = head(x[1:], "tubelet_head", net.patch)
    return np.concatenate([first, rest])
  return head(x, "tubelet_head", net.patch)

"""VideoGPT in float64 numpy, one grid at a time.

Written from the description of the network alone, by loops over tokens and
heads; `p` is a nested dictionary of parameters.
"""

import numpy as np


def norm(x, p):
  centred = x - x.mean(-1, keepdims=True)
  inverse = 1 / np.sqrt((centred**2).mean(-1, keepdims=True)) + 1e-5
  return centred * inverse * p["scale"] + p["bias"]


def attend(x, p, heads):
  """(N, D) -> (N, D)."""
  n, d = x.shape
  size = d // heads
  queries, keys, values = np.split(x @ p["query_key_value"]["kernel"], 3, -1)
  out = np.zeros((n, d))
  for head in range(heads):
    part = slice(head * size, (head + 1) * size)
    for i in range(n):
      past = slice(0, i + 1)
      weights = np.exp(keys[past, part] @ queries[i, part] / np.sqrt(size))
      out[i, part] = weights @ values[past, part] / weights.sum()
  return out @ p["out"]["kernel"] + p["out"]["bias"]


def feed_forward(x, p):
  h = x @ p["up"]["kernel"] + p["up"]["bias"]
  h = h / (1 + np.exp(-1.702 * h))
  return h @ p["down"]["kernel"] + p["down"]["bias"]


def logits(tokens, p, net):
  """(N, code_width) vectors or (N,) ids -> (N, K); `net` gives the fields."""
  if net.embedding == "codes":
    embedded = tokens.astype(np.float64) @ p["embed"]["kernel"]
  else:
    embedded = p["embed"]["embedding"][tokens]
  rows = []
  for n, (t, h, w) in enumerate(np.ndindex(*net.grid)):
    place = [p["place_t"][t], p["place_h"][h], p["place_w"][w]]
    rows.append((embedded[n - 1] if n else p["start"]) + np.concatenate(place))
  x = np.stack(rows)
  for n in range(net.layers):
    block = p[f"block_{n}"]
    x = x + attend(norm(x, block["attention_norm"]), block["attention"],
                   net.heads)  # fmt: skip
    x = x + feed_forward(norm(x, block["feed_forward_norm"]), block)
  return norm(x, p["norm"]) @ p["out"]["kernel"]


def log_softmax(x):
  return x - np.log(np.exp(x).sum(-1, keepdims=True))

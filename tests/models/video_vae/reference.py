"""The video VAEs in float64 numpy, one clip (T, H, W, C) at a time.

Written from the description of the networks alone, groups and chunks spelled
out: every group of frames is padded by itself. `p` is a nested dictionary of
parameters, `net` gives the fields.
"""

import numpy as np


def conv(x, p, stride=1, pad=(1, 1), rate=1):
  kernel = p["kernel"]
  x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
  rows = (x.shape[1] - 2 * rate - 1) // stride + 1
  columns = (x.shape[2] - 2 * rate - 1) // stride + 1
  out = np.zeros((len(x), rows, columns, kernel.shape[-1]))
  for i in range(3):
    for j in range(3):
      seen = x[:, i * rate :, j * rate :][:, ::stride, ::stride]
      out += seen[:, :rows, :columns] @ kernel[i, j]
  return out + p["bias"]


def dense(x, p):
  return x @ p["kernel"] + p["bias"]


def silu(x):
  return x / (1 + np.exp(-x))


def taps(p):
  """The kernels of the three frames, ordered by time; the bias in the last."""
  kernels = np.split(p["kernel"], 3, axis=2)
  biases = [0, 0, p["bias"]]
  return [
    {"kernel": kernel, "bias": bias}
    for kernel, bias in zip(kernels, biases, strict=True)
  ]


def over_time(padded, p):
  """A 3x3x3 convolution without padding in time."""
  return sum(
    conv(padded[i : len(padded) - 2 + i], tap) for i, tap in enumerate(taps(p))
  )


def causal(x, p):
  nothing = np.zeros_like(x[:1])
  return over_time(np.concatenate([nothing, nothing, x]), p)


def group_causal(x, p, group):
  out = []
  starts = [0, *range(1, len(x), group)]
  for start in starts:
    frames = x[start : start + group] if start else x[:1]
    front = x[start - 1] if start else x[0]
    padded = [front, *frames, np.zeros_like(front)]
    out.append(over_time(np.stack(padded), p))
  return np.concatenate(out)


def unit(x, p, group):
  parts = []
  for name in ("conv", "key", "motion"):
    if name in p:
      q = p[name]
      if "causal" in q:
        parts.append(causal(x, q["causal"]))
      elif "group_causal" in q:
        parts.append(group_causal(x, q["group_causal"], group))
      else:
        parts.append(conv(x, q))
  return np.concatenate(parts, axis=-1)


def named(p):
  return [name for name in ("key", "motion") if name in p]


def pointwise(x, p):
  return np.concatenate([dense(x, p[name]) for name in named(p)], axis=-1)


def norm(x, p, num=1):
  parts = np.split(x, num, axis=-1)
  roots = [np.sqrt((part**2).sum(-1, keepdims=True)) for part in parts]
  width = x.shape[-1] // num
  parts = [
    part / np.maximum(root, 1e-12) * np.sqrt(width)
    for part, root in zip(parts, roots, strict=True)
  ]
  return np.concatenate(parts, axis=-1) * p["scale"]


def block(x, p, num, group):
  h = x
  for i in "01":
    h = silu(norm(h, p[f"norm_{i}"]["norm"], num))
    h = unit(h, p[f"unit_{i}"], group)
  return h + (pointwise(x, p["shortcut"]) if "shortcut" in p else x)


def attend_alone(x, p):
  out = []
  for frame in x:
    c = frame.shape[-1]
    flat = norm(frame, p["norm"]).reshape(-1, c)
    q, k, v = np.split(dense(flat, p["qkv"]), 3, axis=-1)
    weights = np.exp(q @ k.T / np.sqrt(c))
    weights /= weights.sum(-1, keepdims=True)
    out.append(frame + dense(weights @ v, p["out"]).reshape(frame.shape))
  return np.stack(out)


def each(x, p, layer):
  parts = np.split(x, len(named(p)), axis=-1)
  return np.concatenate(
    [
      layer(part, p[name], name)
      for part, name in zip(parts, named(p), strict=True)
    ],
    axis=-1,
  )


def attend(x, p):
  return each(x, p, lambda part, q, _: attend_alone(part, q))


def dilated(x, p, num, rates):
  outs = [dense(x, p["rate_0"])]
  outs += [
    conv(x, p[f"rate_{rate}"], pad=(rate, rate), rate=rate) for rate in rates
  ]
  halves = [
    np.concatenate([np.split(out, num, axis=-1)[i] for out in outs], axis=-1)
    for i in range(num)
  ]
  return dense(np.concatenate(halves, axis=-1), p["out"])


def down(x, p, temporal):
  alone = len(named(p)) == 1

  def layer(part, q, name):
    part = conv(part, q, stride=2, pad=(0, 1))
    if not temporal:
      return part
    out = [part[0]]
    for t in range(1, len(part), 2):
      if name == "key":
        out.append(part[t])
      else:
        seen = part[t - 1 if alone else t : t + 2]
        seen = np.concatenate(list(seen), axis=-1)
        out.append(dense(seen, p["time"]["taps"]))
    return np.stack(out)

  return each(x, p, layer)


def up(x, p, temporal):
  alone = len(named(p)) == 1

  def layer(part, q, name):
    if temporal:
      out, nothing = [part[0]], np.zeros_like(part[0])
      later = [nothing, nothing, *part[1:]]
      for t in range(1, len(part)):
        if name == "key":
          out += [part[t], part[t]]
        else:
          seen = later[t - 1 : t + 2] if alone else [part[t]]
          pair = dense(np.concatenate(seen, axis=-1), p["time"]["taps"])
          out += np.split(pair, 2, axis=-1)
      part = np.stack(out)
    return conv(part.repeat(2, axis=1).repeat(2, axis=2), q)

  return each(x, p, layer)


def _groups(net):
  return [
    int(np.prod([2 if flag else 1 for flag in net.temporal[level:]]))
    for level in range(len(net.multipliers))
  ]


def _num(net):
  return 2 if net.branches in ("key_motion", "motion_motion") else 1


def _middle(x, p, net):
  x = block(x, p["middle_0"], _num(net), 1)
  if "middle" in net.attention:
    x = attend(x, p["middle_attention"])
  return block(x, p["middle_1"], _num(net), 1)


def encode(video, p, net):
  """Means and log-variances before they are bounded."""
  num, groups, e = _num(net), _groups(net), p["encoder"]
  last = len(groups) - 1
  x = unit(video, e["stem"], groups[0])
  for level, group in enumerate(groups):
    if level == last and "down" in net.attention:
      x = attend(x, e[f"level_{last - 1}_down_attention"])
    for i in range(net.blocks):
      x = block(x, e[f"level_{level}_{i}"], num, group)
      if level == last and "blocks" in net.attention:
        x = attend(x, e[f"level_{level}_{i}_attention"])
    if level < last:
      x = down(x, e[f"level_{level}_down"], net.temporal[level])
  x = silu(norm(_middle(x, e, net), e["norm"]["norm"], num))
  if net.rates:
    x = dilated(x, e["head"], num, net.rates)
  else:
    x = unit(x, e["head"], 1)
  parts = np.split(pointwise(x, p["moments"]), 2 * num, axis=-1)
  return (
    np.concatenate(parts[0::2], axis=-1),
    np.concatenate(parts[1::2], axis=-1),
  )


def decode(latents, p, net):
  num, groups, d = _num(net), _groups(net), p["decoder"]
  last = len(groups) - 1
  x = unit(pointwise(latents, p["latents"]), d["stem"], 1)
  x = _middle(x, d, net)
  for level in range(last, -1, -1):
    for i in range(net.blocks + 1):
      x = block(x, d[f"level_{level}_{i}"], num, groups[level])
      if level == last and "blocks" in net.attention:
        x = attend(x, d[f"level_{level}_{i}_attention"])
    if level:
      x = up(x, d[f"level_{level}_up"], net.temporal[level - 1])
  x = silu(norm(x, d["norm"]["norm"], num))
  x = unit(x, d["head"], groups[0])
  if num == 1:
    return x
  key, motion = np.split(x, 2, axis=-1)
  of_key = [t == 0 or (t - 1) % groups[0] == 0 for t in range(len(x))]
  return np.stack([(key if k else motion)[t] for t, k in enumerate(of_key)])

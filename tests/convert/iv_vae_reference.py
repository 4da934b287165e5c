"""IV-VAE on its own state dict: names by rule, and float64 numpy.

One clip (C, T, H, W) at a time, frame 0 and every group of frames padded by
themselves. What a layer is, is read off its names.
"""

import numpy as np


def shapes(z, d):
  """Names and shapes of the network of Z latents and base d, in order."""
  found = {}

  def add(name, out, *rest, weight="weight"):
    found[f"{name}.{weight}"] = (out, *rest)
    if weight == "weight":
      found[f"{name}.bias"] = (out,)

  def pair(name, channels_in, out, size):
    add(f"{name}.conv_2d", out, channels_in, size, size)
    add(f"{name}.conv_3d", out, channels_in, size, size, size)

  def residual(name, width, out, joint=False):
    """Widths are those of one branch."""
    for norm, conv, inputs in ((0, 2, width), (3, 6, out)):
      add(f"{name}.residual.{norm}", 2 * inputs, 1, 1, 1, weight="gamma")
      if joint:
        add(f"{name}.residual.{conv}.conv", 2 * out, 2 * inputs, 3, 3)
      else:
        pair(f"{name}.residual.{conv}", 2 * inputs, out, 3)
    if width != out:
      pair(f"{name}.shortcut", 2 * width, out, 1)

  def attention(name, width):
    for branch in ("2d", "3d"):
      inner = f"{name}.Attention_{branch}"
      add(f"{inner}.norm", width, 1, 1, weight="gamma")
      add(f"{inner}.to_qkv", 3 * width, width, 1, 1)
      add(f"{inner}.proj", width, width, 1, 1)

  def resample(name, width, out, *time):
    for branch in ("2d", "3d"):
      add(f"{name}.resample_{branch}.1", out, width, 3, 3)
    if time:
      add(f"{name}.time_conv", *time, 1, 1)

  def middle(name):
    residual(f"{name}.0", 4 * d, 4 * d, True)
    attention(f"{name}.1", 4 * d)
    residual(f"{name}.2", 4 * d, 4 * d, True)

  pair("encoder.conv1", 3, d, 3)
  down = "encoder.downsamples"
  for number, width, out in (
    *((0, d, d), (1, d, d), (3, d, 2 * d), (4, 2 * d, 2 * d)),
    *((6, 2 * d, 4 * d), (7, 4 * d, 4 * d)),
  ):
    residual(f"{down}.{number}", width, out)
    if number == 1:
      resample(f"{down}.2", d, d)
    if number == 4:
      resample(f"{down}.5", 2 * d, 2 * d, 2 * d, 2 * d, 2)
  resample(f"{down}.8", 4 * d, 4 * d, 4 * d, 4 * d, 2)
  attention(f"{down}.9", 4 * d)
  for number in (10, 12):
    residual(f"{down}.{number}", 4 * d, 4 * d, True)
    attention(f"{down}.{number + 1}", 4 * d)
  middle("encoder.middle")
  add("encoder.head.0", 8 * d, 1, 1, 1, weight="gamma")
  for rate in (0, 1, 3, 6, 9, 12):
    size = 3 if rate else 1
    add(f"encoder.head.2.PAC_{rate}.conv", 2 * z, 8 * d, size, size)
  add("encoder.head.2.PAC_conv.conv", 2 * z, 12 * z, 1, 1)

  pair("conv1", 2 * z, z, 1)
  pair("conv2", z, z // 2, 1)

  add("decoder.conv1.conv", 8 * d, z, 3, 3)
  middle("decoder.middle")
  up = "decoder.upsamples"
  for number in (0, 2, 4):
    residual(f"{up}.{number}", 4 * d, 4 * d, True)
    attention(f"{up}.{number + 1}", 4 * d)
  resample(f"{up}.6", 4 * d, 2 * d, 8 * d, 4 * d, 1)
  for number, width, out in (
    (7, 2 * d, 4 * d),
    *((8 + i, 4 * d, 4 * d) for i in (0, 1)),
  ):
    residual(f"{up}.{number}", width, out)
  resample(f"{up}.10", 4 * d, 2 * d, 8 * d, 4 * d, 1)
  for number in (11, 12, 13):
    residual(f"{up}.{number}", 2 * d, 2 * d)
  resample(f"{up}.14", 2 * d, d)
  for number in (15, 16, 17):
    residual(f"{up}.{number}", d, d)
  add("decoder.head.0", 2 * d, 1, 1, 1, weight="gamma")
  pair("decoder.head.2", 2 * d, 3, 3)
  return found


def silu(x):
  return x / (1 + np.exp(-x))


def convolve(x, weight, stride=1, pad=(1, 1), rate=1):
  """(C, T, H, W) and (out, C, k, k): every frame by itself, k = 1 or 3."""
  if weight.shape[-1] == 1:
    return np.einsum("oc,cthw->othw", weight[..., 0, 0], x)
  x = np.pad(x, ((0, 0), (0, 0), pad, pad))
  height, width = ((side - 2 * rate - 1) // stride + 1 for side in x.shape[2:])
  out = np.zeros((len(weight), x.shape[1], height, width))
  for i in range(3):
    for j in range(3):
      seen = x[:, :, i * rate :, j * rate :][:, :, ::stride, ::stride]
      seen = seen[:, :, :height, :width]
      out += np.einsum("oc,cthw->othw", weight[:, :, i, j], seen)
  return out


def conv(sd, name, x, **options):
  bias = sd[f"{name}.bias"][:, None, None, None]
  return convolve(x, sd[f"{name}.weight"], **options) + bias


def conv_in_groups(sd, name, x, group):
  weight = sd[f"{name}.weight"]
  taps = [weight[:, :, i] for i in range(weight.shape[2])]
  if len(taps) == 1:
    out = convolve(x, taps[0])
  else:
    parts = []
    for start in (0, *range(1, x.shape[1], group)):
      frames = x[:, start : start + group] if start else x[:, :1]
      front = x[:, max(start - 1, 0), None]
      padded = np.concatenate([front, frames, np.zeros_like(front)], axis=1)
      num = frames.shape[1]
      parts.append(
        sum(convolve(padded[:, i : i + num], tap) for i, tap in enumerate(taps))
      )
    out = np.concatenate(parts, axis=1)
  return out + sd[f"{name}.bias"][:, None, None, None]


def unit(sd, name, x, group):
  if f"{name}.conv.weight" in sd:
    return conv(sd, f"{name}.conv", x)
  key = conv(sd, f"{name}.conv_2d", x)
  motion = conv_in_groups(sd, f"{name}.conv_3d", x, group)
  return np.concatenate([key, motion])


def norm(x, gamma):
  root = np.sqrt((x**2).sum(0, keepdims=True))
  gamma = gamma.reshape(-1, 1, 1, 1)
  return x / np.maximum(root, 1e-12) * np.sqrt(len(x)) * gamma


def norm_silu(sd, name, x):
  halves = zip(np.split(x, 2), np.split(sd[f"{name}.gamma"], 2), strict=True)
  return silu(np.concatenate([norm(*half) for half in halves]))


def residual(sd, name, x, group):
  h = x
  for first, second in ((0, 2), (3, 6)):
    h = norm_silu(sd, f"{name}.residual.{first}", h)
    h = unit(sd, f"{name}.residual.{second}", h, group)
  if f"{name}.shortcut.conv_2d.weight" in sd:
    x = unit(sd, f"{name}.shortcut", x, group)
  return x + h


def attention(sd, name, x):
  parts = []
  for branch, part in zip(("2d", "3d"), np.split(x, 2), strict=True):
    inner = f"{name}.Attention_{branch}"
    normed = norm(part, sd[f"{inner}.norm.gamma"])
    qkv = conv(sd, f"{inner}.to_qkv", normed)
    mixed = []
    for t in range(x.shape[1]):
      q, k, v = np.split(qkv[:, t].reshape(len(qkv), -1), 3)
      weights = np.exp(q.T @ k / np.sqrt(len(part)))
      weights /= weights.sum(1, keepdims=True)
      mixed.append((v @ weights.T).reshape(part[:, t].shape))
    mixed = np.stack(mixed, axis=1)
    parts.append(part + conv(sd, f"{inner}.proj", mixed))
  return np.concatenate(parts)


def down(sd, name, x):
  parts = [
    conv(sd, f"{name}.resample_{branch}.1", part, stride=2, pad=(0, 1))
    for branch, part in zip(("2d", "3d"), np.split(x, 2), strict=True)
  ]
  if f"{name}.time_conv.weight" in sd:
    key, motion = parts
    weight, bias = sd[f"{name}.time_conv.weight"], sd[f"{name}.time_conv.bias"]
    later = [
      sum(
        np.einsum("oc,chw->ohw", weight[:, :, i, 0, 0], motion[:, t + i])
        for i in range(2)
      )
      + bias[:, None, None]
      for t in range(1, motion.shape[1], 2)
    ]
    keys = [0, *range(1, key.shape[1], 2)]
    parts = [key[:, keys], np.stack([motion[:, 0], *later], axis=1)]
  return np.concatenate(parts)


def up(sd, name, x):
  key, motion = np.split(x, 2)
  if f"{name}.time_conv.weight" in sd:
    twice = [0, *np.repeat(range(1, key.shape[1]), 2)]
    pairs = conv(
      {
        "weight.weight": sd[f"{name}.time_conv.weight"][:, :, 0],
        "weight.bias": sd[f"{name}.time_conv.bias"],
      },
      "weight",
      motion,
    )
    even, odd = np.split(pairs, 2)
    frames = [motion[:, 0]]
    for t in range(1, motion.shape[1]):
      frames += [even[:, t], odd[:, t]]
    key, motion = key[:, twice], np.stack(frames, axis=1)
  parts = [
    conv(sd, f"{name}.resample_{branch}.1", part.repeat(2, 2).repeat(2, 3))
    for branch, part in (("2d", key), ("3d", motion))
  ]
  return np.concatenate(parts)


def run(sd, name, x, group):
  """A list of layers; returns also the frames of a group behind it."""
  numbers = {
    int(key.removeprefix(f"{name}.").split(".")[0])
    for key in sd
    if key.startswith(f"{name}.")
  }
  for number in sorted(numbers):
    layer = f"{name}.{number}"
    timed = f"{layer}.time_conv.weight" in sd
    if f"{layer}.residual.0.gamma" in sd:
      x = residual(sd, layer, x, group)
    elif f"{layer}.Attention_2d.norm.gamma" in sd:
      x = attention(sd, layer, x)
    elif name.startswith("encoder"):
      x, group = down(sd, layer, x), group // 2 if timed else group
    else:
      x, group = up(sd, layer, x), group * 2 if timed else group
  return x, group


def encode(sd, x, factor):
  """(C, T, H, W) -> means and log-variances (Z, t, h, w)."""
  x = unit(sd, "encoder.conv1", x, factor)
  x, group = run(sd, "encoder.downsamples", x, factor)
  assert group == 1
  x, _ = run(sd, "encoder.middle", x, 1)
  x = norm_silu(sd, "encoder.head.0", x)
  head = "encoder.head.2.PAC_"
  rates = [
    int(key.removeprefix(head).split(".")[0])
    for key in sd
    if key.startswith(head) and key.endswith(".weight") and "_conv" not in key
  ]
  outs = [
    conv(sd, f"{head}{rate}.conv", x, pad=(rate, rate), rate=max(rate, 1))
    for rate in sorted(rates)
  ]
  halves = zip(*(np.split(out, 2) for out in outs), strict=True)
  x = np.concatenate([part for half in halves for part in half])
  x = unit(sd, "conv1", conv(sd, f"{head}conv.conv", x), 1)
  key_mean, key_log, motion_mean, motion_log = np.split(x, 4)
  return (
    np.concatenate([key_mean, motion_mean]),
    np.concatenate([key_log, motion_log]),
  )


def decode(sd, z):
  """(Z, t, h, w) -> (C, T, H, W)."""
  x = unit(sd, "decoder.conv1", unit(sd, "conv2", z, 1), 1)
  x, _ = run(sd, "decoder.middle", x, 1)
  x, factor = run(sd, "decoder.upsamples", x, 1)
  x = norm_silu(sd, "decoder.head.0", x)
  key, motion = np.split(unit(sd, "decoder.head.2", x, factor), 2)
  frames = [
    key[:, t] if t == 0 or t % factor == 1 else motion[:, t]
    for t in range(x.shape[1])
  ]
  return np.stack(frames, axis=1)

"""The two published networks in float64 numpy, on their own state dicts.

Written from their description alone: channels first, the order of the layers
read off the names, convolutions as sums over the kernel, temporal attention as
loops over pairs of frames.
"""

import numpy as np

HEADS = 4


def silu(x):
  return x / (1 + np.exp(-x))


def softmax(x):
  x = np.exp(x - x.max(-1, keepdims=True))
  return x / x.sum(-1, keepdims=True)


def linear(sd, name, x):
  return x @ sd[f"{name}.weight"].T + sd[f"{name}.bias"]


def conv(sd, name, x, stride=1):
  """(N, C, H, W), zero padding that keeps the side at stride 1."""
  weight = sd[f"{name}.weight"]
  size = weight.shape[-1]
  pad = size // 2
  n, _, height, width = x.shape
  x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
  out = np.zeros((n, len(weight), height // stride, width // stride))
  for i in range(size):
    for j in range(size):
      window = x[:, :, i : i + height : stride, j : j + width : stride]
      out += np.einsum("oc,nchw->nohw", weight[:, :, i, j], window)
  return out + sd[f"{name}.bias"][:, None, None]


def group_norm(sd, name, x):
  """(N, C, ...), 32 groups."""
  groups = x.reshape(len(x), 32, -1)
  centred = groups - groups.mean(-1, keepdims=True)
  normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
  shape = (-1,) + (1,) * (x.ndim - 2)
  weight, bias = sd[f"{name}.weight"], sd[f"{name}.bias"]
  return normed.reshape(x.shape) * weight.reshape(shape) + bias.reshape(shape)


def time_embedding(sd, timesteps):
  half = sd["time_embed.0.weight"].shape[1] // 2
  rows = []
  for t in timesteps:
    angles = [t * 10000 ** (-i / half) for i in range(half)]
    rows.append([*np.cos(angles), *np.sin(angles)])
  hidden = silu(linear(sd, "time_embed.0", np.array(rows)))
  return linear(sd, "time_embed.2", hidden)


def residual(sd, name, x, embedding):
  h = conv(
    sd, f"{name}.in_layers.2", silu(group_norm(sd, f"{name}.in_layers.0", x))
  )
  e = linear(sd, f"{name}.emb_layers.1", silu(embedding))[:, :, None, None]
  channels = h.shape[1]
  h = group_norm(sd, f"{name}.out_layers.0", h)
  h = silu(h * (1 + e[:, :channels]) + e[:, channels:])
  h = conv(sd, f"{name}.out_layers.3", h)
  if f"{name}.skip_connection.weight" in sd:
    x = conv(sd, f"{name}.skip_connection", x)
  return x + h


def image_attention(sd, name, x):
  """Heads first, then q, k, v; residual on the input."""
  n, c, height, width = x.shape
  flat = x.reshape(n, c, height * width)
  normed = group_norm(sd, f"{name}.norm", flat)
  weight = sd[f"{name}.qkv.weight"][:, :, 0]
  qkv = np.einsum("oc,ncp->nop", weight, normed)
  qkv += sd[f"{name}.qkv.bias"][:, None]
  size = c // HEADS
  heads = []
  for head in range(HEADS):
    start = 3 * size * head
    q, k, v = (
      qkv[:, start + size * part : start + size * (part + 1)]
      for part in range(3)
    )
    weights = softmax(np.einsum("nci,ncj->nij", q, k) / np.sqrt(size))
    heads.append(np.einsum("nij,ncj->nci", weights, v))
  h = np.concatenate(heads, axis=1)
  h = np.einsum("oc,ncp->nop", sd[f"{name}.proj_out.weight"][:, :, 0], h)
  h += sd[f"{name}.proj_out.bias"][:, None]
  return x + h.reshape(x.shape)


def video_qkv(sd, name, normed):
  """(N, S, C) -> q, k, v, each (N, S, heads, C / heads)."""
  n, s, c = normed.shape
  parts = np.split(linear(sd, f"{name}.qkv", normed), 3, axis=-1)
  return [part.reshape(n, s, HEADS, c // HEADS) for part in parts]


def spatial_attention(sd, name, x):
  """Residual on the normalised input."""
  n, c, height, width = x.shape
  flat = x.reshape(n, c, height * width)
  normed = group_norm(sd, f"{name}.norm", flat).swapaxes(1, 2)
  q, k, v = video_qkv(sd, name, normed)
  logits = np.einsum("nihc,njhc->nhij", q, k) / np.sqrt(c // HEADS)
  h = np.einsum("nhij,njhc->nihc", softmax(logits), v)
  h = normed + linear(sd, f"{name}.proj_out", h.reshape(normed.shape))
  return h.swapaxes(1, 2).reshape(x.shape)


def relative_position(sd, name, difference, embedding):
  """The vectors of one pair of frames of one video: (heads, C / heads)."""
  features = np.array(
    [
      np.log(1 + max(difference, 0)),
      np.log(1 + max(-difference, 0)),
      difference == 0,
    ]
  )
  net = f"{name}.rpe_net"
  h = linear(sd, f"{net}.embed_distances", features)
  h = silu(h + linear(sd, f"{net}.embed_diffusion_time", embedding))
  return linear(sd, f"{net}.out", h).reshape(HEADS, -1)


def temporal_attention(sd, name, x, embedding, index, real):
  """One video (T, C, H, W); `index` and `real` (T,)."""
  t, c = x.shape[:2]
  pixels = x.reshape(t, c, -1).transpose(2, 1, 0)
  normed = group_norm(sd, f"{name}.norm", pixels).swapaxes(1, 2)
  q, k, v = video_qkv(sd, name, normed)
  scale = 1 / np.sqrt(c // HEADS)

  def position(net, i, j):
    return relative_position(
      sd, f"{name}.{net}", index[i] - index[j], embedding
    )

  logits = np.full((len(pixels), HEADS, t, t), -np.inf)
  for i in range(t):
    for j in range(t):
      if real[i] == real[j]:
        content = (q[:, i] * k[:, j]).sum(-1)
        content += (q[:, i] * position("rpe_k", i, j)).sum(-1)
        content += (k[:, j] * position("rpe_q", j, i)).sum(-1)
        logits[:, :, i, j] = scale * content
  weights = softmax(logits)
  h = np.zeros_like(q)
  for i in range(t):
    for j in range(t):
      value = v[:, j] + position("rpe_v", i, j)
      h[:, i] += weights[:, :, i, j, None] * value
  out = normed + linear(sd, f"{name}.proj_out", h.reshape(normed.shape))
  return out.transpose(1, 2, 0).reshape(x.shape)


def children(sd, prefix):
  """Numbers that follow `prefix`, ascending."""
  tails = [name.removeprefix(prefix) for name in sd if name.startswith(prefix)]
  return sorted({int(tail.split(".")[0]) for tail in tails})


def torso(sd, x, embedding, attend):
  """(N, C, H, W) -> (N, out, H, W); what a layer is, is read off its names."""

  def run(block, h):
    for child in children(sd, f"{block}."):
      name = f"{block}.{child}"
      if f"{name}.in_layers.0.weight" in sd:
        h = residual(sd, name, h, embedding)
      elif f"{name}.op.weight" in sd:
        h = conv(sd, f"{name}.op", h, stride=2)
      elif f"{name}.conv.weight" in sd:
        h = conv(sd, f"{name}.conv", np.kron(h, np.ones((2, 2))))
      elif f"{name}.weight" in sd:
        h = conv(sd, name, h)
      else:
        h = attend(name, h)
    return h

  skips = []
  for number in children(sd, "input_blocks."):
    x = run(f"input_blocks.{number}", x)
    skips.append(x)
  x = run("middle_block", x)
  for number in children(sd, "output_blocks."):
    x = np.concatenate([x, skips.pop()], axis=1)
    x = run(f"output_blocks.{number}", x)
  assert not skips
  return conv(sd, "out.2", silu(group_norm(sd, "out.0", x)))


def improved_diffusion(sd, x, timesteps):
  """(B, C, H, W), (B,) -> (B, out, H, W)."""
  sd = {name: np.float64(array) for name, array in sd.items()}
  embedding = time_embedding(sd, timesteps)
  return torso(sd, x, embedding, lambda name, h: image_attention(sd, name, h))


def flexible_video_diffusion(
  sd, x, timesteps, x0, observed, latent, frame_indices
):
  """(B, T, C, H, W) and (B, T) -> (B, T, out, H, W)."""
  sd = {name: np.float64(array) for name, array in sd.items()}
  b, t = x.shape[:2]
  embedding = time_embedding(sd, timesteps)
  mask = observed[:, :, None, None, None]
  indicator = np.ones_like(x[:, :, :1]) * mask
  x = np.concatenate([x * (1 - mask) + x0 * mask, indicator], axis=2)
  real = np.clip(observed + latent, 0, 1)

  def attend(name, h):
    videos = h.reshape(b, t, *h.shape[1:])
    mixed = [
      temporal_attention(
        sd,
        f"{name}.temporal_attention",
        videos[i],
        embedding[i],
        frame_indices[i],
        real[i],
      )
      for i in range(b)
    ]
    return spatial_attention(
      sd, f"{name}.spatial_attention", np.concatenate(mixed)
    )

  per_frame = np.repeat(embedding, t, axis=0)
  out = torso(sd, x.reshape(b * t, *x.shape[2:]), per_frame, attend)
  return out.reshape(b, t, *out.shape[1:])

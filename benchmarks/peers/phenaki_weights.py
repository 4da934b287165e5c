"""Weights of phenaki-pytorch's networks as our parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from pseudovideo.files.layouts import CONV, LINEAR, NORM, Layer, Layout

# Arrays that are the same on both sides, below other names.
_GAMMA = Layout("scale", np.asarray, np.asarray, their_name="gamma")
# (D, 1, 3, 3, 3) and (3, 3, 3, D).
_PEG = Layout(
  "kernel",
  lambda weight: weight[:, 0].transpose(1, 2, 3, 0),
  lambda kernel: kernel.transpose(3, 0, 1, 2)[:, None],
)


def tokenizer(arrays: Mapping[str, np.ndarray], depth: tuple[int, int]) -> Any:
  """Parameters of `Tokenizer` from those of CViViT, tubelets only.

  Args:
    arrays: the state dict.
    depth: layers over space and over time.
  """
  space, time = depth
  return _params(
    arrays,
    [
      *_each("to_patch_emb", "tubelet_stem", {"1": "norm_in", "3": "norm_out"}),
      Layer("to_patch_emb.2", ("tubelet_stem", "linear"), LINEAR),
      *_bias("spatial_rel_pos_bias"),
      *_transformer("enc_spatial_transformer", "encoder_space", space, False),
      *_transformer("enc_temporal_transformer", "encoder_time", time, True),
      *_transformer("dec_temporal_transformer", "decoder_time", time, True),
      *_transformer("dec_spatial_transformer", "decoder_space", space, False),
      Layer("to_pixels.0", ("tubelet_head", "linear"), LINEAR),
    ],
  )


def maskgit(arrays: Mapping[str, np.ndarray], depth: int) -> Any:
  """Parameters of `MaskGit` from those of phenaki-pytorch's, without text."""
  params = _params(
    arrays,
    [
      *_bias("continuous_pos_bias"),
      *_transformer("transformer", "transformer", depth, True),
      Layer("to_logits", ("to_logits", "linear"), LINEAR),
    ],
  )
  tables = {"tokens": "token_emb.weight", "places": "pos_emb.weight"}
  return {**params, **{ours: arrays[name] for ours, name in tables.items()}}


def discriminator(
  arrays: Mapping[str, np.ndarray], blocks: int, attention: int
) -> Any:
  """Parameters of `Discriminator` from those of phenaki-pytorch's.

  Args:
    arrays: the state dict.
    blocks: number of blocks.
    attention: the block that is followed by attention.
  """
  layers: list[Layer] = []
  for i in range(blocks):
    names = {"conv_res": "skip", "net.0": "conv_in", "net.2": "conv_out"}
    layers += _each(f"blocks.{i}", f"block_{i}", names, CONV)
    down = Layer(f"blocks.{i}.downsample.1", (f"block_{i}", "down"), _PAIRS)
    layers += [down] * (i < blocks - 1)
  layers += _attention(f"attn_blocks.{attention}", ("attention",))
  layers.append(Layer("to_logits.0", ("conv",), CONV))
  layers.append(Layer("to_logits.3", ("logit",), _FLAT))
  return _params(arrays, layers)


# (out, 4 in, 1, 1), of squares of 2x2 pixels, and (2, 2, in, out).
_PAIRS = Layout(
  "kernel",
  lambda weight: CONV.weight(weight.reshape(len(weight), -1, 2, 2)),
  lambda kernel: CONV.weight_back(kernel).reshape(kernel.shape[-1], -1, 1, 1),
)
# (1, C 4 4), pixels last, and (4 4 C, 1).
_FLAT = Layout(
  "kernel",
  lambda weight: weight.reshape(-1, 16).T.reshape(-1, 1),
  lambda kernel: kernel.reshape(16, -1).T.reshape(1, -1),
)


def _each(
  theirs: str, ours: str, names: Mapping[str, str], layout: Layout = NORM
) -> list[Layer]:
  return [
    Layer(f"{theirs}.{name}", (ours, own), layout)
    for name, own in names.items()
  ]


def _bias(theirs: str) -> list[Layer]:
  names = {"net.0.0": "in", "net.1.0": "hidden", "net.2": "out"}
  return _each(theirs, "position_bias", names, LINEAR)


def _transformer(
  theirs: str, ours: str, depth: int, peg: bool
) -> Iterator[Layer]:
  for i in range(depth):
    layer, own = f"{theirs}.layers.{i}", f"layer_{i}"
    if peg:
      yield Layer(f"{layer}.0.dsconv", (ours, f"{own}_peg"), _PEG)
    yield from _attention(f"{layer}.1", (ours, f"{own}_attention"))
    forward = (ours, f"{own}_feed_forward")
    yield Layer(f"{layer}.3.0", (*forward, "norm"), NORM)
    yield Layer(f"{layer}.3.1", (*forward, "up"), LINEAR)
    yield Layer(f"{layer}.3.4", (*forward, "down"), LINEAR)
  yield Layer(f"{theirs}.norm_out", (ours, "norm"), _GAMMA)


def _attention(theirs: str, ours: tuple[str, ...]) -> Iterator[Layer]:
  yield Layer(f"{theirs}.norm", (*ours, "norm"), _GAMMA)
  for name, own in (
    ("to_q", "query"),
    ("to_kv", "key_value"),
    ("to_out", "out"),
  ):
    yield Layer(f"{theirs}.{name}", (*ours, own), LINEAR)
  for name, own in (
    ("context_norm.gamma", "context_scale"),
    ("q_scale", "query_gain"),
    ("k_scale", "key_gain"),
  ):
    path, _, last = f"{theirs}.{name}".rpartition(".")
    same = Layout(own, np.asarray, np.asarray, their_name=last)
    yield Layer(path, ours, same)


def _params(arrays: Mapping[str, np.ndarray], layers: list[Layer]) -> Any:
  """Nested parameters; a bias is taken where there is one."""
  found = {}
  for layer in layers:
    layout, theirs = layer.layout, layer.theirs
    weight = layout.weight(arrays[f"{theirs}.{layout.their_name}"])
    found[*layer.ours, layout.name] = np.array(weight, np.float32, order="C")
    if f"{theirs}.bias" in arrays:
      found[*layer.ours, "bias"] = arrays[f"{theirs}.bias"]
  return traverse_util.unflatten_dict(found)

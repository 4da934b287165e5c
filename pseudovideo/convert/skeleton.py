"""Names of the layers of our U-Nets in the published diffusion code.

`UNet` has the names of improved DDPM (Nichol & Dhariwal 2021), `VideoUNet` the
names of flexible video diffusion (Harvey et al. 2022). They differ in the
attention only.

In both, the encoder is one list (`input_blocks`: the stem, the residual blocks,
the convolutions that halve the side) and the decoder another, whose blocks also
hold the convolutions that double the side.
"""

import functools
import itertools
from collections.abc import Iterator

from pseudovideo.files import layouts
from pseudovideo.files.layouts import CONV, LINEAR, NORM, POINTWISE, Layer
from pseudovideo.models import unet, video_unet

_POSITIONS = (
  ("embed_distances", "distance"),
  ("embed_diffusion_time", "time"),
  ("out", "out"),
)


def layers(net: unet.UNet) -> Iterator[Layer]:
  """Every layer of `net`, in the order of the published state dict.

  Every residual block is given a convolution on its skip; where the channels
  stay the same, neither side has it.
  """
  if isinstance(net, video_unet.VideoUNet):
    attention = _video_attention
  else:
    attention = functools.partial(_image_attention, heads=net.heads)
  last = len(net.multipliers) - 1

  def block(theirs: str, ours: str, level: int) -> Iterator[Layer]:
    yield from _residual(f"{theirs}.0", f"{ours}_res")
    if level in net.attention:
      yield from attention(f"{theirs}.1", ours)

  yield Layer("time_embed.0", ("time", "in"), LINEAR)
  yield Layer("time_embed.2", ("time", "out"), LINEAR)
  yield Layer("input_blocks.0.0", ("stem",), CONV)
  numbers = itertools.count(1)
  for level in range(last + 1):
    for i in range(net.blocks):
      theirs = f"input_blocks.{next(numbers)}"
      yield from block(theirs, f"down_{level}_{i}", level)
    if level < last:
      theirs = f"input_blocks.{next(numbers)}.0.op"
      yield Layer(theirs, (f"down_{level}_sample", "conv"), CONV)

  yield from _residual("middle_block.0", "middle_0")
  yield from attention("middle_block.1", "middle")
  yield from _residual("middle_block.2", "middle_1")

  numbers = itertools.count()
  for level in reversed(range(last + 1)):
    for i in range(net.blocks + 1):
      theirs = f"output_blocks.{next(numbers)}"
      yield from block(theirs, f"up_{level}_{i}", level)
      if i == net.blocks and level > 0:
        place = 2 if level in net.attention else 1
        ours = (f"up_{level}_sample", "conv")
        yield Layer(f"{theirs}.{place}.conv", ours, CONV)

  yield Layer("out.0", ("norm",), NORM)
  yield Layer("out.2", ("head",), CONV)


def _residual(theirs: str, ours: str) -> Iterator[Layer]:
  for name, own, layout in (
    ("in_layers.0", "norm_in", NORM),
    ("in_layers.2", "conv_in", CONV),
    ("emb_layers.1", "time", LINEAR),
    ("out_layers.0", "norm_out", NORM),
    ("out_layers.3", "conv_out", CONV),
    ("skip_connection", "skip", CONV),
  ):
    yield Layer(f"{theirs}.{name}", (ours, own), layout)


def _image_attention(theirs: str, ours: str, heads: int) -> Iterator[Layer]:
  for name, own, layout in (
    ("norm", "norm", NORM),
    ("qkv", "qkv", layouts.pointwise_qkv(heads)),
    ("proj_out", "out", POINTWISE),
  ):
    yield Layer(f"{theirs}.{name}", (f"{ours}_attention", own), layout)


def _video_attention(theirs: str, ours: str) -> Iterator[Layer]:
  """Linear layers, their q, k and v ordered as ours."""
  for kind, module in (
    ("spatial", f"{ours}_attention"),
    ("temporal", f"{ours}_temporal"),
  ):
    for name, own, layout in (
      ("qkv", "qkv", LINEAR),
      ("proj_out", "out", LINEAR),
      ("norm", "norm", NORM),
    ):
      yield Layer(f"{theirs}.{kind}_attention.{name}", (module, own), layout)
  for net in ("rpe_q", "rpe_k", "rpe_v"):
    for name, own in _POSITIONS:
      yield Layer(
        f"{theirs}.temporal_attention.{net}.rpe_net.{name}",
        (f"{ours}_temporal", net, own),
        LINEAR,
      )

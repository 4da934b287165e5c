"""The part that the two published networks share: all but attention.

There, the encoder is one list (`input_blocks`: the stem, the residual blocks,
the convolutions that halve the side) and the decoder another, whose blocks also
hold the convolutions that double it.
"""

from collections.abc import Callable, Iterator

from pseudovideo.convert.layouts import CONV, LINEAR, NORM, Layer
from pseudovideo.models import unet

# From the name of a place, there and here, to the attention layers there.
Attention = Callable[[str, str], Iterator[Layer]]


def layers(net: unet.UNet, attention: Attention) -> Iterator[Layer]:
  """All layers, in the order of their state dict.

  Every residual block is given a convolution on its skip; where the channels
  stay the same, neither side has it.
  """
  last = len(net.multipliers) - 1
  yield Layer("time_embed.0", ("time", "in"), LINEAR)
  yield Layer("time_embed.2", ("time", "out"), LINEAR)

  def block(theirs, ours, level):
    yield from _residual(f"{theirs}.0", f"{ours}_res")
    if level in net.attention:
      yield from attention(f"{theirs}.1", ours)

  yield Layer("input_blocks.0.0", ("stem",), CONV)
  number = 1
  for level in range(last + 1):
    for i in range(net.blocks):
      yield from block(f"input_blocks.{number}", f"down_{level}_{i}", level)
      number += 1
    if level < last:
      ours = (f"down_{level}_sample", "conv")
      yield Layer(f"input_blocks.{number}.0.op", ours, CONV)
      number += 1

  yield from _residual("middle_block.0", "middle_0")
  yield from attention("middle_block.1", "middle")
  yield from _residual("middle_block.2", "middle_1")

  number = 0
  for level in reversed(range(last + 1)):
    for i in range(net.blocks + 1):
      theirs = f"output_blocks.{number}"
      yield from block(theirs, f"up_{level}_{i}", level)
      if i == net.blocks and level > 0:
        place = 2 if level in net.attention else 1
        ours = (f"up_{level}_sample", "conv")
        yield Layer(f"{theirs}.{place}.conv", ours, CONV)
      number += 1

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

"""Names of IV-VAE's public code (Wu et al. 2024) for our video VAE.

In that code everything up to the middle of the encoder is one list
(`downsamples`: residual blocks, attention, and the layers that halve sides and
time), and everything behind the middle of the decoder is another (`upsamples`).
The key branch is `2d`, the motion branch `3d`. The first `conv1` and `conv2`
stand between encoder and decoder.
"""

from collections.abc import Callable, Iterator

from pseudovideo import errors
from pseudovideo.files import layouts
from pseudovideo.files.layouts import CONV, Layer
from pseudovideo.models.video_vae.iv_vae import IVVAE

_Path = tuple[str, ...]
_Kind = Callable[[str, _Path], Iterator[Layer]]

_BRANCHES = (("2d", "key"), ("3d", "motion"))
_PIXEL = layouts.dense(CONV)
_GAMMA = layouts.gamma(3)


def layers(net: IVVAE) -> Iterator[Layer]:
  """Every layer of `net`, in the order of the published state dict.

  Where a layer has several forms, all are given; a network has one of them.

  Raises:
    UserError: the published code has no such network.
  """
  _check(net)
  yield from _unit("encoder.conv1", ("encoder", "stem"))
  yield from _list("encoder.downsamples", "encoder", _downsamples(net))
  yield from _list("encoder.middle", "encoder", _middle(net))
  yield Layer("encoder.head.0", ("encoder", "norm", "norm"), _GAMMA)
  yield from _dilated("encoder.head.2", ("encoder", "head"), net.rates)
  yield from _pointwise("conv1", ("moments",))
  yield from _pointwise("conv2", ("latents",))
  yield from _unit("decoder.conv1", ("decoder", "stem"))
  yield from _list("decoder.middle", "decoder", _middle(net))
  yield from _list("decoder.upsamples", "decoder", _upsamples(net))
  yield Layer("decoder.head.0", ("decoder", "norm", "norm"), _GAMMA)
  yield from _unit("decoder.head.2", ("decoder", "head"))


def _check(net: IVVAE) -> None:
  branches, convolution = net.branches, net.convolution
  if (branches, convolution) != ("key_motion", "group_causal"):
    raise errors.UserError(
      "IV-VAE's published code has model.branches='key_motion' and "
      f"model.convolution='group_causal'; got {branches!r} and "
      f"{convolution!r}, whose weights cannot be converted."
    )
  if not net.rates:
    raise errors.UserError(
      "IV-VAE's published code has dilated convolutions at the end of the "
      "encoder; got model.rates=(), and weights without them cannot be "
      "converted."
    )
  # The published code has other shortcuts where the deepest level changes
  # width.
  if net.multipliers[-1] != net.multipliers[-2]:
    raise errors.UserError(
      "IV-VAE's published code has equal widths at the two deepest levels; got "
      f"model.multipliers={net.multipliers}, whose weights cannot be converted."
    )


def _downsamples(net: IVVAE) -> Iterator[tuple[str, _Kind]]:
  last = len(net.multipliers) - 1
  for level in range(last):
    for i in range(net.blocks):
      yield f"level_{level}_{i}", _block
    yield f"level_{level}_down", _down
  if "down" in net.attention:
    yield f"level_{last - 1}_down_attention", _attention
  yield from _deepest(net, net.blocks)


def _upsamples(net: IVVAE) -> Iterator[tuple[str, _Kind]]:
  last = len(net.multipliers) - 1
  yield from _deepest(net, net.blocks + 1)
  yield f"level_{last}_up", _up
  for level in reversed(range(last)):
    for i in range(net.blocks + 1):
      yield f"level_{level}_{i}", _block
    if level > 0:
      yield f"level_{level}_up", _up


def _deepest(net: IVVAE, blocks: int) -> Iterator[tuple[str, _Kind]]:
  last = len(net.multipliers) - 1
  for i in range(blocks):
    yield f"level_{last}_{i}", _block
    if "blocks" in net.attention:
      yield f"level_{last}_{i}_attention", _attention


def _middle(net: IVVAE) -> Iterator[tuple[str, _Kind]]:
  yield "middle_0", _block
  if "middle" in net.attention:
    yield "middle_attention", _attention
  yield "middle_1", _block


def _list(
  theirs: str, ours: str, modules: Iterator[tuple[str, _Kind]]
) -> Iterator[Layer]:
  for number, (name, kind) in enumerate(modules):
    yield from kind(f"{theirs}.{number}", (ours, name))


def _block(theirs: str, ours: _Path) -> Iterator[Layer]:
  # Between these are functions without parameters, which are counted too.
  for i, (norm, unit) in enumerate(((0, 2), (3, 6))):
    path = (*ours, f"norm_{i}", "norm")
    yield Layer(f"{theirs}.residual.{norm}", path, _GAMMA)
    yield from _unit(f"{theirs}.residual.{unit}", (*ours, f"unit_{i}"))
  yield from _pointwise(f"{theirs}.shortcut", (*ours, "shortcut"))


def _unit(theirs: str, ours: _Path) -> Iterator[Layer]:
  """A convolution for each branch, or one where a group is one frame."""
  yield Layer(f"{theirs}.conv", (*ours, "conv"), CONV)
  yield Layer(f"{theirs}.conv_2d", (*ours, "key"), CONV)
  motion = (*ours, "motion", "group_causal")
  yield Layer(f"{theirs}.conv_3d", motion, layouts.over_time(3))


def _pointwise(theirs: str, ours: _Path) -> Iterator[Layer]:
  motion = layouts.dense(layouts.over_time(1))
  yield Layer(f"{theirs}.conv_2d", (*ours, "key"), _PIXEL)
  yield Layer(f"{theirs}.conv_3d", (*ours, "motion"), motion)


def _down(theirs: str, ours: _Path) -> Iterator[Layer]:
  return _resampling(theirs, ours, taps=2)


def _up(theirs: str, ours: _Path) -> Iterator[Layer]:
  return _resampling(theirs, ours, taps=1)


def _resampling(theirs: str, ours: _Path, taps: int) -> Iterator[Layer]:
  for branch, name in _BRANCHES:
    yield Layer(f"{theirs}.resample_{branch}.1", (*ours, name), CONV)
  time = layouts.dense(layouts.over_time(taps))
  yield Layer(f"{theirs}.time_conv", (*ours, "time", "taps"), time)


def _attention(theirs: str, ours: _Path) -> Iterator[Layer]:
  for branch, name in _BRANCHES:
    for layer, own, layout in (
      ("norm", "norm", layouts.gamma(2)),
      ("to_qkv", "qkv", _PIXEL),
      ("proj", "out", _PIXEL),
    ):
      path = (*ours, name, own)
      yield Layer(f"{theirs}.Attention_{branch}.{layer}", path, layout)


def _dilated(
  theirs: str, ours: _Path, rates: tuple[int, ...]
) -> Iterator[Layer]:
  yield Layer(f"{theirs}.PAC_0.conv", (*ours, "rate_0"), _PIXEL)
  for rate in rates:
    yield Layer(f"{theirs}.PAC_{rate}.conv", (*ours, f"rate_{rate}"), CONV)
  yield Layer(f"{theirs}.PAC_conv.conv", (*ours, "out"), _PIXEL)

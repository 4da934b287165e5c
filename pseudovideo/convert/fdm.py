"""Names of flexible video diffusion (Harvey et al. 2022) for our video U-Net.

Its attention layers are linear, their q, k and v ordered as ours.
"""

from collections.abc import Iterator

from pseudovideo.convert import layouts, skeleton
from pseudovideo.models import video_unet

_ATTENTION = (
  ("qkv", "qkv", layouts.LINEAR),
  ("proj_out", "out", layouts.LINEAR),
  ("norm", "norm", layouts.NORM),
)
_POSITIONS = (
  ("embed_distances", "distance"),
  ("embed_diffusion_time", "time"),
  ("out", "out"),
)


def layers(net: video_unet.VideoUNet) -> Iterator[layouts.Layer]:
  """Every layer of `net`, in the order of the published state dict."""
  return skeleton.layers(net, _attention)


def _attention(theirs: str, ours: str) -> Iterator[layouts.Layer]:
  for kind, module in (
    ("spatial", f"{ours}_attention"),
    ("temporal", f"{ours}_temporal"),
  ):
    for name, own, layout in _ATTENTION:
      yield layouts.Layer(
        f"{theirs}.{kind}_attention.{name}", (module, own), layout
      )
  for net in ("rpe_q", "rpe_k", "rpe_v"):
    for name, own in _POSITIONS:
      yield layouts.Layer(
        f"{theirs}.temporal_attention.{net}.rpe_net.{name}",
        (f"{ours}_temporal", net, own),
        layouts.LINEAR,
      )

"""Names of improved DDPM (Nichol & Dhariwal 2021) for our image U-Net."""

from collections.abc import Iterator

from pseudovideo.convert import layouts, skeleton
from pseudovideo.models import unet


def layers(net: unet.UNet) -> Iterator[layouts.Layer]:
  """Every layer of `net`, in the order of the published state dict."""
  qkv = layouts.pointwise_qkv(net.heads)

  def attention(theirs, ours):
    for name, own, layout in (
      ("norm", "norm", layouts.NORM),
      ("qkv", "qkv", qkv),
      ("proj_out", "out", layouts.POINTWISE),
    ):
      path = (f"{ours}_attention", own)
      yield layouts.Layer(f"{theirs}.{name}", path, layout)

  return skeleton.layers(net, attention)

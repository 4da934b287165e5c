"""Sizes that are slips of the keyboard are refused, by every network."""

import pytest

from pseudovideo import errors
from pseudovideo.models import (
  discriminator,
  encoder,
  maskgit,
  sizes,
  tokenizer,
  unet,
  video_discriminator,
  video_gpt,
)
from pseudovideo.models.quantizers import lfq, vq
from pseudovideo.models.video_vae import iv_vae, tae

IMAGE = (16, 16, 3)
CHECKS = {
  unet.UNet: lambda net: unet.check(net, IMAGE),
  encoder.LatentEncoder: encoder.check,
  discriminator.Discriminator: lambda net: discriminator.check(net, IMAGE),
  video_discriminator.VideoDiscriminator: lambda net: video_discriminator.check(
    net, IMAGE
  ),
  tokenizer.Tokenizer: lambda net: net.check(IMAGE),
  maskgit.MaskGit: lambda net: net.check(net.grid, net.codes),
  video_gpt.VideoGPT: lambda net: net.check(),
  iv_vae.IVVAE: lambda net: net.check(IMAGE, 5),
  tae.TAE: lambda net: net.check(IMAGE, 5),
  vq.Cosine: lambda part: part.check(),
  lfq.LookupFree: lambda part: part.check(),
}
# Fields that the tokens give, or that the side of images bounds anyway.
OTHERS = {
  maskgit.MaskGit: ("codes",),
  video_gpt.VideoGPT: ("codes",),
  video_discriminator.VideoDiscriminator: ("layers",),
}
CASES = [
  (cls, name)
  for cls in CHECKS
  for name in sizes.MOST
  if hasattr(cls, name) and name not in OTHERS.get(cls, ())
]


@pytest.mark.parametrize(
  ("cls", "name"), CASES, ids=[f"{c.__name__}-{n}" for c, n in CASES]
)
def test_a_size_beyond_all_memory_is_refused(cls, name):
  huge = 2**30
  if isinstance(getattr(cls, name), tuple):
    huge = (1, huge)
  with pytest.raises(errors.UserError, match=rf"\.{name} must be at most \d+;"):
    CHECKS[cls](cls(**{name: huge}))

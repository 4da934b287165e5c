"""AlexNet computes what its description says, on weights made by rule."""

import jax
import numpy as np

from pseudovideo.pretrained.from_torch import backbones
from pseudovideo.pretrained.networks import alexnet
from tests.pretrained.networks import backbone_reference as reference


def test_maps():
  state_dict = reference.make(reference.alexnet_arrays(), empty="classifier")
  x = np.random.default_rng(0).normal(size=(2, 3, 70, 48))
  expected = reference.alexnet(state_dict, x)
  maps = jax.jit(alexnet.AlexNet().apply)(
    {"params": backbones.alexnet(state_dict)},
    np.float32(x.transpose(0, 2, 3, 1)),
  )
  assert [a.shape[-1] for a in maps] == list(alexnet.CHANNELS)
  for ours, theirs in zip(maps, expected, strict=True):
    assert ours.size > 0
    ours = np.moveaxis(np.asarray(ours), -1, 1)
    assert reference.relative_error(ours, theirs) < 1e-5

"""VGG-16 computes what its description says, on weights made by rule."""

import jax
import numpy as np
import pytest

from pseudovideo.pretrained.from_torch import backbones
from pseudovideo.pretrained.networks import vgg
from tests.pretrained.networks import backbone_reference as reference


def test_maps():
  """Sides that the pools do not divide."""
  state_dict = reference.make(reference.vgg16_arrays(), empty="classifier")
  x = np.random.default_rng(0).normal(size=(2, 3, 35, 18))
  expected = reference.vgg16(state_dict, x)
  params = backbones.vgg16(state_dict)
  maps = jax.jit(vgg.VGG16().apply)(
    {"params": params}, np.float32(x.transpose(0, 2, 3, 1))
  )
  assert [a.shape[-1] for a in maps] == list(vgg.CHANNELS)
  assert maps[-1].shape == (2, 2, 1, 512)
  for ours, theirs in zip(maps, expected, strict=True):
    ours = np.moveaxis(np.asarray(ours), -1, 1)
    assert reference.relative_error(ours, theirs) < 1e-5


@pytest.mark.parametrize(("height", "width"), [(14, 14), (2, 3), (9, 22)])
def test_fc7_of_any_size(height, width):
  hidden = 24
  arrays = reference.vgg16_arrays(hidden)
  state_dict = reference.make(arrays, empty="features")
  x = np.random.default_rng(1).normal(size=(2, 512, height, width))
  head = vgg.Head(hidden)
  params = backbones.vgg16_head(state_dict, head)
  out = jax.jit(head.apply)(
    {"params": params}, np.float32(x.transpose(0, 2, 3, 1))
  )
  expected = reference.fc7(state_dict, x)
  assert out.shape == expected.shape == (2, hidden)
  assert reference.relative_error(np.asarray(out), expected) < 1e-5

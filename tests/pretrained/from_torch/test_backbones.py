"""Exactly torchvision's names and shapes are taken, and LPIPS's."""

import math

import jax
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.pretrained.from_torch import backbones
from pseudovideo.pretrained.networks import alexnet, vgg
from tests.pretrained.networks import backbone_reference as reference

CONVERT = {
  "vgg": (backbones.vgg16, reference.vgg16_arrays()),
  "alex": (backbones.alexnet, reference.alexnet_arrays()),
}


def _zeros(arrays):
  return {
    name: np.broadcast_to(np.float32(0), shape)
    for name, (shape, _) in arrays.items()
  }


def _count(tree):
  return sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  ("name", "whole", "kept"),
  [("vgg", 138_357_544, 14_714_688), ("alex", 61_100_840, 2_469_696)],
)
def test_only_the_convolutions_are_kept(name, whole, kept):
  """Counts of parameters are those of torchvision's documentation."""
  convert, arrays = CONVERT[name]
  state_dict = _zeros(arrays)
  assert _count(state_dict) == whole
  params = convert(state_dict)
  assert _count(params) == kept
  assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("f4")}


def test_other_floating_point_types():
  state_dict = _zeros(reference.alexnet_arrays())
  for dtype in (np.float16, np.float64):
    values = np.arange(64, dtype=dtype)
    params = backbones.alexnet(state_dict | {"features.0.bias": values})
    bias = params["features_0"]["bias"]
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, values)


def _without(state_dict, *names):
  return {n: array for n, array in state_dict.items() if n not in names}


CHANGES = [
  (
    lambda sd: _without(sd, "features.0.bias", "classifier.6.weight"),
    r": it lacks 2 \(features\.0\.bias, classifier\.6\.weight\); give the",
  ),
  (
    lambda sd: sd | {"features.1.weight": np.zeros(64, np.float32)},
    r": it has besides 1 \(features\.1\.weight\); give the",
  ),
  (
    lambda sd: {f"module.{name}": array for name, array in sd.items()},
    r"it lacks .*, \.\.\.\) and it has besides .* \(module\.features\.0",
  ),
  (
    lambda sd: sd | {"features.10.bias": np.zeros(7, np.float32)},
    r"'features\.10\.bias' has the shape \(7,\), not \((128|256),\);",
  ),
  (
    lambda sd: sd | {"classifier.6.bias": np.zeros(10, np.float32)},
    r"'classifier\.6\.bias' has the shape \(10,\), not \(1000,\);",
  ),
  (
    lambda sd: sd | {"features.0.bias": np.zeros(64, int)},
    r"'features\.0\.bias' is of type int64, not floating-point;",
  ),
]


@pytest.mark.parametrize("name", CONVERT)
def test_another_state_dict_is_refused(name):
  convert, arrays = CONVERT[name]
  for change, said in CHANGES:
    with pytest.raises(errors.UserError, match=said):
      convert(change(_zeros(arrays)))


def test_one_network_is_not_the_other():
  with pytest.raises(errors.UserError, match=r"does not fit AlexNet: it lacks"):
    backbones.alexnet(_zeros(reference.vgg16_arrays()))
  with pytest.raises(errors.UserError, match=r"does not fit VGG-16: it lacks"):
    backbones.vgg16_head(_zeros(reference.alexnet_arrays()))


def test_head_of_another_width_is_refused():
  state_dict = _zeros(reference.vgg16_arrays(16))
  said = r"'classifier\.0\.weight' has the shape \(16, 25088\), not \(8, 25088"
  with pytest.raises(errors.UserError, match=said):
    backbones.vgg16_head(state_dict, vgg.Head(8))


@pytest.mark.parametrize("channels", [vgg.CHANNELS, alexnet.CHANNELS])
def test_linear_weights(channels):
  state_dict = reference.lpips_linear(channels)
  arrays = backbones.lpips_linear(state_dict, channels)
  assert [array.shape for array in arrays] == [(num,) for num in channels]
  for k, array in enumerate(arrays):
    there = state_dict[f"lin{k}.model.1.weight"][0, :, 0, 0]
    np.testing.assert_array_equal(array, there)


def test_other_linear_weights_are_refused():
  state_dict = reference.lpips_linear(vgg.CHANNELS)
  said = r"LPIPS's linear layers .*'lin1\.model\.1\.weight' has the shape"
  with pytest.raises(errors.UserError, match=said):
    backbones.lpips_linear(state_dict, alexnet.CHANNELS)
  with pytest.raises(errors.UserError, match=r"lacks 1 \(lin4\.model"):
    backbones.lpips_linear(
      _without(state_dict, "lin4.model.1.weight"), vgg.CHANNELS
    )


def test_negative_linear_weights_are_refused():
  for bad in (-1e-6, np.nan):
    state_dict = reference.lpips_linear(vgg.CHANNELS)
    state_dict["lin2.model.1.weight"][0, 5] = bad
    with pytest.raises(errors.UserError, match=r"'lin2.* are not all >= 0"):
      backbones.lpips_linear(state_dict, vgg.CHANNELS)

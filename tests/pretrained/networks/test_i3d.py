"""I3D computes what its description says, on weights made by rule."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.pretrained.from_torch import i3d as convert_i3d
from pseudovideo.pretrained.networks import i3d
from tests.pretrained.networks import backbone_reference as reference


@pytest.fixture(scope="module")
def state_dict():
  return reference.make(reference.i3d_arrays())


@pytest.fixture(scope="module")
def variables(state_dict):
  return convert_i3d.to_flax(state_dict)


def _channels_last(x):
  return np.float32(np.moveaxis(x, 1, -1))


def _part(variables, *path):
  """Variables of a module inside."""
  for name in path:
    variables = {kind: tree[name] for kind, tree in variables.items()}
  return variables


def _video(frames, height, width):
  rng = np.random.default_rng(0)
  return rng.uniform(-1, 1, size=(1, 3, frames, height, width))


def test_number_of_parameters():
  """12,697,264 in PyTorch: batch statistics are not counted, scales are."""
  video = jnp.zeros((1, 9, 224, 224, 3))
  tree = jax.eval_shape(i3d.I3D().init, jax.random.key(0), video)
  count = sum(math.prod(a.shape) for a in jax.tree.leaves(tree["params"]))
  by_table = sum(
    math.prod(shape)
    for name, (shape, _) in reference.i3d_arrays().items()
    if "running" not in name
  )
  assert count == by_table == 12_697_264


@pytest.mark.parametrize("sizes", [(9, 11, 8), (2, 7, 13)])
def test_stem_pads_like_tensorflow(state_dict, variables, sizes):
  x = _video(*sizes)
  expected = reference.i3d_unit(state_dict, "Conv3d_1a_7x7", x, 2, 1e-3)
  unit = i3d.Unit(64, 1e-3, kernel=7, stride=2)
  out = jax.jit(unit.apply)(
    _part(variables, "Conv3d_1a_7x7"), _channels_last(x)
  )
  ours = np.moveaxis(np.asarray(out), -1, 1)
  assert ours.shape[2:] == tuple(-(-size // 2) for size in sizes)
  assert reference.relative_error(ours, expected) < 1e-5


def test_block(state_dict, variables):
  x = np.random.default_rng(0).uniform(size=(2, 192, 3, 5, 4))
  expected = reference.inception_block(state_dict, "Mixed_3b", x, 1e-3)
  block = i3d.Mixed((64, 96, 128, 16, 32, 32), 1e-3)
  out = jax.jit(block.apply)(_part(variables, "Mixed_3b"), _channels_last(x))
  ours = np.moveaxis(np.asarray(out), -1, 1)
  assert reference.relative_error(ours, expected) < 1e-5


def test_whole_network_on_small_frames(state_dict, variables):
  """3 steps of time and 2x1 pixels, of which the last pool takes two by one.

  That of the published size is in tests/metrics/test_video_features.py.
  """
  x, epsilon, window = _video(17, 37, 30), 1e-5, (2, 1, 1)
  net = i3d.I3D(epsilon, window)
  out = np.asarray(jax.jit(net.apply)(variables, _channels_last(x)))
  expected = reference.i3d(state_dict, x, epsilon, window)
  assert out.shape == expected.shape == (1, 400)
  assert reference.relative_error(out, expected) < 1e-5

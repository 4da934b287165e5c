"""The network against float64 numpy and against the PyTorch package."""

import jax
import numpy as np
import pytest

from pseudovideo.files import state_dicts
from pseudovideo.pretrained import weights
from pseudovideo.pretrained.from_torch import efficientnet_lite as convert
from pseudovideo.pretrained.networks import efficientnet_lite as model
from tests.pretrained.networks import efficientnet_lite_reference as reference


def published():
  return state_dicts.read(weights.find(weights.EFFICIENTNET_LITE0))


def inputs(num=2, height=40, width=33):
  """Sides that are odd on some level, so that padding is seen."""
  rng = np.random.default_rng(0)
  return rng.uniform(-1, 1, (num, height, width, 3)).astype(np.float32)


def outputs(state_dict, x):
  variables = convert.to_flax(state_dict)
  found = jax.jit(model.EfficientNetLite0().apply)(variables, x)
  return np.asarray(found["features"]), np.asarray(found["logits"])


@pytest.mark.parametrize("arrays", [reference.state_dict, published])
def test_equals_float64_numpy(arrays):
  arrays = arrays()
  x = inputs()
  found = outputs(arrays, x)
  expected = reference.forward(arrays, x.transpose(0, 3, 1, 2))
  for one, two in zip(found, expected, strict=True):
    assert one.dtype == np.float32
    assert two.std() > 0.1
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-5 * np.abs(two).max())


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [4, 7])
def test_depthwise_equals_a_grouped_convolution(side, stride, size):
  rng = np.random.default_rng(0)
  kernel = rng.standard_normal((side, side, 6), np.float32)
  bias = rng.standard_normal(6, np.float32)
  x = rng.standard_normal((2, size, size + 1, 6), np.float32)
  found = model.Depthwise(side, stride).apply(
    {"params": {"kernel": kernel, "bias": bias}}, x
  )
  expected = jax.lax.conv_general_dilated(
    x,
    kernel[:, :, None],
    (stride, stride),
    "SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    feature_group_count=6,
    precision="highest",
  )
  expected = np.asarray(expected) + bias
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_published_size():
  """4,652,008 numbers are learned, before norms are folded."""
  learned = [
    np.prod(shape)
    for name, shape in convert.expected().items()
    if "running" not in name
  ]
  assert sum(learned) == 4_652_008
  params = jax.eval_shape(
    model.EfficientNetLite0().init, jax.random.key(0), inputs()
  )
  given = convert.to_flax(reference.state_dict())
  assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, given)


def test_equals_the_pytorch_package():
  torch = pytest.importorskip("torch")
  package = pytest.importorskip("efficientnet_lite_pytorch")
  net = package.EfficientNet.from_name("efficientnet-lite0")
  arrays = published()
  net.load_state_dict({n: torch.tensor(a) for n, a in arrays.items()})
  # The package pads for 224x224 images, whatever it is given.
  x = inputs(1, 224, 224)
  with torch.no_grad():
    net.eval()
    theirs = net(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
  np.testing.assert_allclose(outputs(arrays, x)[1], theirs, atol=2e-4)

"""Inception-v3 computes what a float64 numpy network computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.pretrained.from_torch import inception as convert
from pseudovideo.pretrained.networks import inception
from tests.pretrained.networks import inception_reference as reference


@pytest.fixture(scope="module")
def images():
  """(1, 3, 299, 299) of every frequency, within [-1, 1]."""
  rng = np.random.default_rng(0)
  coarse = rng.uniform(-0.8, 0.8, (1, 3, 33, 33))
  block = np.ones((10, 10))
  smooth = np.kron(coarse, block)[..., :299, :299]
  return smooth + rng.uniform(-0.2, 0.2, (1, 3, 299, 299))


@pytest.fixture(scope="module")
def expected(images):
  return reference.Network(reference.state_dict())(images)


@pytest.fixture(scope="module")
def found(images):
  variables = convert.to_flax(reference.state_dict())
  x = jnp.float32(images.transpose(0, 2, 3, 1))
  return jax.jit(inception.InceptionV3().apply)(variables, x)


def distance(one, other):
  return np.linalg.norm(one - other) / np.linalg.norm(other)


def test_outputs(found, expected):
  assert set(expected) == {
    "64", "192", "768", "2048", "logits", "logits_unbiased"
  }  # fmt: skip
  assert found.keys() == expected.keys()
  for name, output in found.items():
    assert output.shape == expected[name].shape
    assert output.dtype == jnp.float32
    assert distance(np.float64(output), expected[name]) < 1e-5, name


def test_the_weights_use_the_whole_network(expected):
  """The numbers were measured on other images with the reference."""
  features = expected["2048"]
  assert np.mean(features == 0) == pytest.approx(0.13, abs=0.01)
  assert features.std() / features.mean() == pytest.approx(3.0 / 2.2, rel=0.03)


def test_mistakes_would_show(images, expected):
  """By as much as in the reference implementation, on other images.

  This is the smallest; padding counted in averages, or an average in the last
  block, move the features by 0.05 and 0.11.
  """
  network = reference.Network(reference.state_dict(), eps=1e-5)
  found = distance(network(images)["2048"], expected["2048"])
  assert found == pytest.approx(0.018, rel=0.2)


def test_number_of_parameters():
  tree = jax.eval_shape(
    inception.InceptionV3().init,
    jax.random.key(0),
    jnp.zeros((1, inception.SIDE, inception.SIDE, 3)),
  )
  count = {
    name: sum(leaf.size for leaf in jax.tree.leaves(part))
    for name, part in tree.items()
  }
  assert sum(count.values()) == 23_885_392
  # A mean and a variance for each channel of each convolution.
  channels = sum(shape[0] for _, shape in reference.convolutions())
  assert count["batch_stats"] == 2 * channels

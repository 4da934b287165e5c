"""Inception-v3 computes what a float64 numpy network computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.convert import inception as convert
from pseudovideo.models import inception
from tests.models import inception_reference as reference


@pytest.fixture(scope="module")
def images():
  """(2, 3, 299, 299) of every frequency, within [-1, 1]."""
  rng = np.random.default_rng(0)
  coarse = rng.uniform(-0.8, 0.8, (2, 3, 33, 33))
  block = np.ones((10, 10))
  smooth = np.kron(coarse, block)[..., :299, :299]
  return smooth + rng.uniform(-0.2, 0.2, (2, 3, 299, 299))


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


@pytest.mark.parametrize(
  "name", ["64", "192", "768", "2048", "logits", "logits_unbiased"]
)
def test_outputs(name, found, expected):
  assert found.keys() == expected.keys()
  assert found[name].shape == expected[name].shape
  assert found[name].dtype == jnp.float32
  assert distance(np.float64(found[name]), expected[name]) < 1e-5


def test_the_weights_use_the_whole_network(expected):
  """As measured on other images with the reference implementation."""
  features = expected["2048"]
  assert np.mean(features == 0) == pytest.approx(0.13, abs=0.01)
  assert features.std() / features.mean() == pytest.approx(3.0 / 2.2, rel=0.03)


@pytest.mark.parametrize(
  ("mistake", "moved"),
  [
    ({"eps": 1e-5}, 0.018),
    ({"count_padding": True}, 0.047),
    ({"average_in_7c": True}, 0.109),
    ({"count_padding": True, "average_in_7c": True}, 0.160),
  ],
)
def test_mistakes_would_show(mistake, moved, images, expected):
  """By as much as in the reference implementation, on other images."""
  network = reference.Network(reference.state_dict(), **mistake)
  features = network(images[:1])["2048"]
  found = distance(features, expected["2048"][:1])
  assert found == pytest.approx(moved, rel=0.2)


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

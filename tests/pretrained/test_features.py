import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.pretrained import features


@dataclasses.dataclass(frozen=True)
class Means:
  """Features: mean of each quarter of the rows; logits: their negatives."""

  def __call__(self, params, images):
    x = images.astype(jnp.float32).reshape(len(images), 4, -1).mean(-1)
    return params["scale"] * x, -x


def network(image_shape=(8, 6, 1)) -> features.FeatureNetwork:
  return features.FeatureNetwork(
    name="means",
    weights_hash="ab" * 32,
    feature_dim=4,
    num_classes=4,
    image_shape=image_shape,
    forward=Means(),
    params={"scale": np.float32(2)},
    facts={"resize": "none"},
  )


@pytest.fixture
def images():
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (23, 8, 6, 1), dtype=np.uint8)


def test_features_are_those_of_each_image_whatever_the_batch(images):
  expected = images.reshape(23, 4, -1).astype(np.float64).mean(-1)
  for batch_size in (None, 1, 5, 23, 64):
    seen, logits = network()(images, batch_size)
    # Sums of 12 whole numbers are exact; the mean and its double round once.
    np.testing.assert_allclose(seen, 2 * expected, rtol=1e-6)
    np.testing.assert_allclose(logits, -expected, rtol=1e-6)


def test_a_stream_keeps_the_order_over_blocks_of_any_size(images):
  blocks = [images[:3], images[3:4], images[4:4], images[4:]]
  expected, _ = network()(images)
  done = 0
  for rows, (part, _) in network().stream(blocks, 8):
    assert rows.start == done and len(part) <= 8
    np.testing.assert_allclose(part, expected[rows], rtol=1e-6)
    done = rows.stop
  assert done == len(images)
  assert list(network().stream([])) == []


def test_any_size_means_one_or_three_channels(images):
  free = network(image_shape=None)
  assert free(images)[0].shape == (23, 4)
  assert free(np.zeros((2, 4, 4, 3), np.uint8))[0].shape == (2, 4)
  with pytest.raises(ValueError, match="1 or 3"):
    free(np.zeros((2, 4, 4, 2), np.uint8))
  with pytest.raises(ValueError, match=r"of shape \(8, 6, 1\); got \(4, 4"):
    network()(np.zeros((2, 4, 4, 1), np.uint8))
  with pytest.raises(ValueError, match="takes uint8 images; got float32"):
    network()(np.zeros((2, 8, 6, 1), np.float32))


def test_provenance_holds_the_facts():
  assert network().provenance() == {
    "name": "means",
    "weights_hash": "ab" * 32,
    "feature_dim": 4,
    "resize": "none",
  }

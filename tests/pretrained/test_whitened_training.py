"""The training of the classifier behind a whitening, and its network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.pretrained import (
  classifier,
  features,
  perceptual_features,
  whitened_training,
)
from pseudovideo.pretrained.networks import whitened

RECIPE = whitened_training.Recipe(epochs=4, widths=(8, 16), batch_size=32)


def stripes(num=160) -> ImageSet:
  """Horizontal against vertical stripes in colour, with noise."""
  rng = np.random.default_rng(0)
  kinds = np.arange(num + 32, dtype=np.int32) % 2
  images = rng.integers(0, 60, (num + 32, 11, 11, 3))
  images[kinds == 0, ::2] += 190
  images[kinds == 1, :, ::2] += 190
  images = images.astype(np.uint8)
  return ImageSet(
    name="stripes",
    train_images=images[:num],
    train_labels=kinds[:num],
    test_images=images[num:],
    test_labels=kinds[num:],
    num_classes=2,
    source="made here",
    fingerprint="0123",
  )


@pytest.fixture(scope="module")
def network(tmp_path_factory):
  folder = tmp_path_factory.mktemp("classifiers")
  return classifier.get_feature_network(stripes(), cache=folder, recipe=RECIPE)


@pytest.fixture(scope="module")
def images():
  return stripes().test_images


def test_learns_what_is_easy(network):
  assert network.facts["held_out_accuracy"] == 1.0
  assert (network.feature_dim, network.num_classes) == (16, 2)


def test_two_trainings_give_the_same_bits_and_another_seed_does_not(network):
  again = whitened_training.train(stripes(), "none", RECIPE)
  assert features.weights_hash(again) == network.weights_hash
  other = dataclasses.replace(RECIPE, seed=1)
  other = whitened_training.train(stripes(), "none", other)
  assert features.weights_hash(other) != network.weights_hash


def test_an_image_and_its_mirror_image_are_seen_alike(network, images):
  one, two = network(images), network(images[:, :, ::-1])
  assert one[0].std() > 0.01
  for left, right in zip(one, two, strict=True):
    np.testing.assert_allclose(left, right, atol=1e-5)


def test_features_do_not_depend_on_the_other_images(network, images):
  whole, _ = network(images)
  one, _ = network(images[:3])
  np.testing.assert_allclose(one, whole[:3], atol=1e-5)


def test_the_perceptual_loss_compares_the_same_features(network, images):
  found = perceptual_features.penultimate(
    network.params, jnp.float32(images) / 255
  )
  np.testing.assert_allclose(found, network(images)[0], atol=1e-5)


def test_patches_are_whitened():
  images = stripes().train_images
  layer = whitened_training.whitening(images)
  x = pixels.to_float(images, whitened.VALUE_RANGE)
  found = whitened._convolve(x, layer["kernel"], "VALID")
  found = np.asarray(found) + np.asarray(layer["bias"])
  found = found.reshape(-1, layer["bias"].size)
  half = found.shape[1] // 2
  np.testing.assert_allclose(found[:, half:], -found[:, :half], atol=1e-4)
  np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
  covariance = np.cov(found[:, :half], rowvar=False)
  np.testing.assert_allclose(covariance, np.eye(half), atol=0.1)


def test_folded_layers_give_what_normalized_ones_gave(key):
  """With the statistics of the very images that are seen."""
  image_set = stripes(num=40)
  params = whitened_training.initial(key, image_set, RECIPE)
  params["block0a"]["bias"] += 0.3
  params["whiten"] = whitened_training.whitening(image_set.train_images)
  images = np.repeat(image_set.train_images, whitened_training.FOLDS, axis=0)
  folded = whitened_training.fold(params, images, "none")
  x = pixels.to_float(image_set.train_images, whitened.VALUE_RANGE)
  seen = {}
  expected = whitened.look(
    params, x, lambda name, x: whitened_training._normalize(name, x, seen)
  )
  np.testing.assert_allclose(whitened.look(folded, x), expected, atol=1e-3)


def test_layers_hand_on_what_they_are_given(key):
  """Before training, in the channels that a layer was given."""
  params = whitened_training.initial(key, stripes(), RECIPE)
  x = jax.random.normal(key, (2, 5, 5, 8))
  found = whitened._convolve(x, params["block0b"]["kernel"], "SAME")
  np.testing.assert_allclose(found, x, atol=1e-6)
  found = whitened._convolve(x, params["block1a"]["kernel"], "SAME")
  np.testing.assert_allclose(found[..., :8], x, atol=1e-6)
  assert found[..., 8:].std() > 0.1


def test_shifts_are_cut_out_of_reflected_images(key):
  images = jax.random.bits(key, (40, 6, 7, 3), "uint8")
  np.testing.assert_array_equal(whitened_training.shift(images, 0, key), images)
  shifted = np.asarray(whitened_training.shift(images, 2, key))
  places = set()
  for image, found in zip(np.asarray(images), shifted, strict=True):
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    places |= {
      (down, right)
      for down in range(5)
      for right in range(5)
      if (padded[down : down + 6, right : right + 7] == found).all()
    }
  assert len(places) > 15

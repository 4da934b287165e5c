"""Features are those of the networks; their squared differences have slopes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.data import digits
from pseudovideo.losses import perceptual
from pseudovideo.pretrained import (
  classifier,
  classifier_training,
  packaged,
  perceptual_features,
  weights,
)
from pseudovideo.pretrained.from_torch import backbones
from pseudovideo.pretrained.networks import vgg
from tests.pretrained.networks import backbone_reference as reference

RNG = np.random.default_rng(0)
HIDDEN = 24


def test_mean_squared_difference_of_given_features():
  matrix = RNG.normal(size=(12, 7))
  x, y = RNG.uniform(size=(2, 5, 2, 3, 2))

  def features_fn(images):
    return images.reshape(5, -1) @ jnp.float32(matrix)

  compute = jax.jit(lambda x, y: perceptual.perceptual(features_fn, x, y))
  found = compute(np.float32(x), np.float32(y))
  difference = (x - y).reshape(5, -1) @ matrix
  np.testing.assert_allclose(found, (difference**2).mean(1), rtol=1e-5)


@pytest.fixture(scope="module")
def digit_set():
  return digits.load()


@pytest.fixture(scope="module")
def by_classifier(digit_set, tmp_path_factory):
  """An untrained one, kept in a folder of its own while this module runs."""
  network = classifier_training.network_for(digit_set)
  image = jnp.zeros((1, *digit_set.image_shape))
  params = jax.jit(network.init)(jax.random.key(0), image)["params"]
  params = jax.tree.map(np.asarray, params)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    patch.setattr(packaged, "find", lambda *_: None)
    patch.setattr(classifier_training, "train", lambda *_: params)
    yield perceptual_features.load("classifier", digit_set)


@pytest.fixture(scope="module")
def loss(by_classifier):
  """(params, x, y) -> values (B,), and the gradients of their sum by each."""

  @jax.jit
  def compute(params, x, y):
    def total(params, x, y):
      def features_fn(images):
        return by_classifier.apply(params, images)

      values = perceptual.perceptual(features_fn, x, y)
      return values.sum(), values

    gradients, values = jax.grad(total, (0, 1, 2), has_aux=True)(params, x, y)
    return values, gradients

  return compute


@pytest.fixture(scope="module")
def pair(digit_set):
  """Two batches of digits in [0, 1]."""
  images = digit_set.train_images[:8].reshape(2, 4, 8, 8, 1)
  return np.float32(images) / np.float32(255)


def test_classifier_features_are_those_of_the_metrics(
  by_classifier, digit_set, pair
):
  network = classifier.get_feature_network(digit_set)
  expected, _ = network(digit_set.train_images[:4])
  found = jax.jit(by_classifier.apply)(by_classifier.params, pair[0])
  assert expected.std() > 0.1
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_zero_for_equal_images_and_only_for_them(by_classifier, loss, pair):
  values, (_, by_x, by_y) = loss(by_classifier.params, pair[0], pair[0])
  np.testing.assert_array_equal(values, 0)
  np.testing.assert_array_equal(by_x, 0)
  np.testing.assert_array_equal(by_y, 0)
  x, y = pair
  values, _ = loss(by_classifier.params, x, np.concatenate([x[:1], y[1:]]))
  assert values[0] == 0 and (values[1:] > 1e-3).all()


def test_the_gradient_is_the_slope(by_classifier, loss, pair):
  """Against central differences along the gradients themselves."""
  x, y = pair
  _, (_, by_x, by_y) = loss(by_classifier.params, x, y)
  step = 2e-2
  for index, gradient in [(0, by_x), (1, by_y)]:
    length = np.linalg.norm(gradient)
    ends = []
    for sign in (1, -1):
      moved = [x, y]
      moved[index] = moved[index] + sign * step * np.asarray(gradient) / length
      ends.append(np.float64(loss(by_classifier.params, *moved)[0]).sum())
    np.testing.assert_allclose(
      (ends[0] - ends[1]) / (2 * step), length, rtol=0.02
    )


def test_the_frozen_network_is_not_trained(by_classifier, loss, pair):
  _, (by_params, _, _) = loss(by_classifier.params, *pair)
  for gradient in jax.tree.leaves(by_params):
    np.testing.assert_array_equal(gradient, 0)


def test_parameters_are_an_argument(by_classifier, loss, pair):
  """Twice the last scale and shift makes features twice as large."""
  others = dict(by_classifier.params)
  others["feature_norm"] = {
    name: 2 * array for name, array in others["feature_norm"].items()
  }
  before = loss(by_classifier.params, *pair)[0]
  np.testing.assert_allclose(loss(others, *pair)[0], 4 * before, rtol=1e-5)


def test_provenance_of_the_classifier(by_classifier):
  said = by_classifier.provenance()
  assert said["name"] == by_classifier.name == "digitscls"
  assert len(said["weights_hash"]) == 64
  assert "held_out_accuracy" in said


@pytest.fixture(scope="module")
def vgg_state_dict():
  """The convolutions by the rule; the published width of fc7 is left empty."""
  return reference.make(reference.vgg16_arrays(), empty="classifier")


@pytest.fixture(scope="module")
def fc_state_dict(vgg_state_dict):
  """The same network with a narrow fc7."""
  made = reference.make(reference.vgg16_arrays(HIDDEN), empty="features")
  convolutions = {k: vgg_state_dict[k] for k in made if k.startswith("feat")}
  return {**made, **convolutions}


@pytest.fixture(scope="module")
def vgg_features(vgg_state_dict, fc_state_dict):
  """The features, as if loaded from a file, with the narrow fc7."""
  head = backbones.vgg16_head(fc_state_dict, vgg.Head(HIDDEN))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(weights, "read", lambda _: (vgg_state_dict, "a" * 64))
    patch.setattr(backbones, "vgg16_head", lambda _: head)
    return perceptual_features.vgg16((32, 32, 3))


def test_vgg_features_of_pixels_as_they_are(vgg_features, fc_state_dict):
  """Compares a colour image, and a grey one in all three channels."""
  images = [RNG.uniform(size=(1, 32, 32, channels)) for channels in (3, 1)]
  x = np.concatenate([images[0], images[1].repeat(3, -1)])
  expected = reference.fc7(
    fc_state_dict,
    reference.vgg16(fc_state_dict, np.moveaxis(x, -1, 1))[-1],
  )
  apply = jax.jit(vgg_features.apply)
  found = [apply(vgg_features.params, np.float32(image)) for image in images]
  found = np.concatenate(found)
  assert found.shape == expected.shape == (2, HIDDEN)
  assert reference.relative_error(found, expected) < 1e-5
  assert reference.relative_error(expected[:1], expected[1:]) > 0.01


def test_provenance_of_vgg(vgg_features):
  assert vgg_features.provenance() == {
    "name": "vgg16",
    "weights_hash": "a" * 64,
    "layer": "fc7 after ReLU",
    "value_range": [0.0, 1.0],
    "resize": "none",
  }


def test_missing_weights_are_named(digit_set, tmp_path, monkeypatch):
  monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
  large = np.zeros((4, 32, 32, 3), np.uint8)
  image_set = dataclasses.replace(digit_set, train_images=large)
  said = rf"put vgg16-397923af\.pth from .*{tmp_path}"
  with pytest.raises(errors.UserError, match=said):
    perceptual_features.load("vgg16", image_set)


@pytest.mark.parametrize("shape", [(31, 32, 3), (8, 8, 1), (32, 32, 2)])
def test_images_that_vgg_does_not_take(shape):
  with pytest.raises(errors.UserError, match="32x32 pixels or more"):
    perceptual_features.vgg16(shape)


def test_none_unknown_and_unlabelled(digit_set):
  assert perceptual_features.load("none", digit_set) is None
  with pytest.raises(errors.UserError, match="classifier, none, vgg16"):
    perceptual_features.load("vgg", digit_set)
  unlabelled = dataclasses.replace(digit_set, train_labels=None)
  with pytest.raises(errors.UserError, match=r"no labels.*vgg16 or none"):
    perceptual_features.load("classifier", unlabelled)

import dataclasses
import json
import logging
import os
import random

import jax
import numpy as np
import pytest

from pseudovideo import errors, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.pretrained import classifier, classifier_training, features

RECIPE = classifier_training.Recipe(steps=12, batch_size=32)


def stripes(labels=True, num=96) -> ImageSet:
  """Horizontal against vertical stripes, with noise."""
  rng = np.random.default_rng(0)
  kinds = np.arange(num + 32, dtype=np.int32) % 2
  images = rng.integers(0, 60, (num + 32, 8, 8, 1))
  images[kinds == 0, ::2] += 190
  images[kinds == 1, :, ::2] += 190
  images = images.astype(np.uint8)
  return ImageSet(
    name="stripes",
    train_images=images[:num],
    train_labels=kinds[:num] if labels else None,
    test_images=images[num:],
    test_labels=kinds[num:] if labels else None,
    num_classes=2 if labels else None,
    source="made here",
    fingerprint="0123",
  )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp("classifiers")


@pytest.fixture(scope="module")
def network(folder):
  return classifier.get_feature_network(stripes(), cache=folder, recipe=RECIPE)


def test_learns_what_is_easy(network):
  assert network.name == "stripescls"
  assert network.facts["held_out_accuracy"] == 1.0
  assert network.facts["num_train"] == 96


def test_two_trainings_give_the_same_bits_and_another_seed_does_not(network):
  again = classifier_training.train(stripes(), "none", RECIPE)
  assert features.weights_hash(again) == network.weights_hash
  other = classifier_training.train(
    stripes(), "none", dataclasses.replace(RECIPE, seed=1)
  )
  assert features.weights_hash(other) != network.weights_hash


def test_the_hash_sees_values_names_and_shapes():
  base = {"a": {"b": np.arange(6, dtype=np.float32)}}
  others = [
    {"a": {"c": np.arange(6, dtype=np.float32)}},
    {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}},
    {"a": {"b": np.arange(6, dtype=np.float64)}},
    {"a": {"b": np.nextafter(np.arange(6, dtype=np.float32), 9)}},
  ]
  hashes = {features.weights_hash(params) for params in [base, *others]}
  assert len(hashes) == 5


def test_features_do_not_depend_on_the_batch_size(network):
  images = stripes().test_images
  one, one_logits = network(images, batch_size=32)
  two, two_logits = network(images, batch_size=7)
  assert one.shape == (32, 64)
  np.testing.assert_allclose(one, two, atol=1e-5)
  np.testing.assert_allclose(one_logits, two_logits, atol=1e-5)


def test_other_images_are_refused(network):
  with pytest.raises(ValueError, match="takes"):
    network(np.zeros((2, 8, 8, 3), np.uint8))
  with pytest.raises(ValueError, match="takes"):
    network(np.zeros((2, 8, 8, 1), np.float32))


def _no_training(monkeypatch):
  def train(*_):
    raise AssertionError("It was trained again.")

  monkeypatch.setattr(classifier_training, "train", train)


def test_the_second_time_it_is_read_from_disk(network, folder, monkeypatch):
  _no_training(monkeypatch)
  again = classifier.get_feature_network(stripes(), cache=folder, recipe=RECIPE)
  assert again.weights_hash == network.weights_hash
  assert again.facts["held_out_accuracy"] == network.facts["held_out_accuracy"]
  images = stripes().test_images
  np.testing.assert_array_equal(again(images)[0], network(images)[0])


def _flip(path):
  """One bit of a weight, behind zip's own checksum."""
  with np.load(path) as file:
    arrays = dict(file)
  name = next(n for n in arrays if n.endswith("kernel"))
  arrays[name].view(np.uint8).flat[5] ^= 1
  with path.open("wb") as file:
    np.savez(file, **arrays)


def _cut(path):
  path.write_bytes(path.read_bytes()[:-500])


def _change_accuracy(path):
  with np.load(path) as file:
    arrays = dict(file)
  text = str(arrays["facts"]).replace('"accuracy": 1.0', '"accuracy": 0.5')
  arrays["facts"] = np.array(text)
  with path.open("wb") as file:
    np.savez(file, **arrays)


@pytest.mark.parametrize("damage", [_flip, _cut, _change_accuracy])
def test_a_damaged_file_is_reported_and_replaced(
  network, folder, tmp_path, damage, caplog, monkeypatch
):
  (original,) = folder.glob("*.npz")
  path = tmp_path / original.name
  path.write_bytes(original.read_bytes())
  damage(path)
  monkeypatch.setattr(classifier_training, "train", lambda *_: network.params)
  with caplog.at_level(logging.WARNING):
    again = classifier.get_feature_network(
      stripes(), cache=tmp_path, recipe=RECIPE
    )
  assert "damaged" in caplog.text
  assert again.weights_hash == network.weights_hash
  assert again.facts["held_out_accuracy"] == network.facts["held_out_accuracy"]
  _no_training(monkeypatch)
  classifier.get_feature_network(stripes(), cache=tmp_path, recipe=RECIPE)
  assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def _cut_short(content: bytearray, rng: random.Random) -> bytearray:
  return content[: rng.randrange(len(content))]


def _flip_bit(content: bytearray, rng: random.Random) -> bytearray:
  """One bit: in half of the cases near an end, where zip has its facts."""
  near = min(len(content), 3000)
  place = rng.choice([rng.randrange(len(content)), -rng.randint(1, near)])
  content[place] ^= 1 << rng.randrange(8)
  return content


@pytest.mark.parametrize("damage", [_cut_short, _flip_bit])
def test_no_damage_raises_or_gives_other_weights(
  network, folder, tmp_path, damage
):
  (original,) = folder.glob("*.npz")
  path = tmp_path / original.name
  whole = original.read_bytes()
  with np.load(original) as file:
    facts = json.loads(str(file["facts"]))
  accuracy = facts.pop("accuracy")
  rng, noticed = random.Random(0), 0
  for _ in range(200):
    path.write_bytes(damage(bytearray(whole), rng))
    found = classifier._kept(path, facts)
    noticed += found is None
    if found is not None:  # The bit is one that zip does not need.
      assert features.weights_hash(found[0]) == network.weights_hash
      assert found[1] == accuracy
  assert noticed > 100


def _as_pipe(path, other):
  os.mkfifo(path)


def _as_link_to_nowhere(path, other):
  path.symlink_to("nowhere")


def _as_link_to_itself(path, other):
  path.symlink_to(path)


def _as_another_network(path, other):
  path.symlink_to(other)


@pytest.mark.parametrize(
  "place",
  [_as_pipe, _as_link_to_nowhere, _as_link_to_itself, _as_another_network],
)
def test_what_is_no_file_of_this_network_is_replaced(
  network, tmp_path, monkeypatch, place
):
  cache, seed = tmp_path / "cache", dataclasses.replace(RECIPE, seed=1)
  monkeypatch.setattr(classifier_training, "train", lambda *_: network.params)
  classifier.get_feature_network(stripes(), cache=tmp_path, recipe=seed)
  classifier.get_feature_network(stripes(), cache=cache, recipe=RECIPE)
  (other,), (path,) = tmp_path.glob("*.npz"), cache.iterdir()
  path.unlink()
  place(path, other)
  classifier.get_feature_network(stripes(), cache=cache, recipe=RECIPE)
  assert path.is_file() and not path.is_symlink()
  _no_training(monkeypatch)
  classifier.get_feature_network(stripes(), cache=cache, recipe=RECIPE)


def test_a_folder_that_cannot_be_written_is_only_a_warning(
  network, tmp_path, caplog, monkeypatch
):
  (tmp_path / "file").touch()
  monkeypatch.setattr(classifier_training, "train", lambda *_: network.params)
  with caplog.at_level(logging.WARNING):
    again = classifier.get_feature_network(
      stripes(), cache=tmp_path / "file", recipe=RECIPE
    )
  assert "cannot be kept" in caplog.text
  assert again.weights_hash == network.weights_hash
  _no_training(monkeypatch)
  classifier.get_feature_network(
    stripes(), cache=tmp_path / "file", recipe=RECIPE
  )


def test_a_binarized_network_has_its_own_name_and_file(
  network, folder, tmp_path, monkeypatch
):
  monkeypatch.setattr(classifier_training, "train", lambda *_: network.params)
  network = classifier.get_feature_network(
    stripes(), binarize="bernoulli", cache=tmp_path, recipe=RECIPE
  )
  assert network.name == "stripescls-bernoulli"
  (path,) = tmp_path.iterdir()
  assert not (folder / path.name).exists()


def test_binarized_splits_are_drawn_once_and_differ():
  images = np.full((50, 8, 8, 1), 128, np.uint8)
  first = pixels.fixed_binarization(images, "bernoulli", "train")
  assert set(np.unique(first)) == {0, 255}
  np.testing.assert_array_equal(
    first, pixels.fixed_binarization(images, "bernoulli", "train")
  )
  assert (first != pixels.fixed_binarization(images, "bernoulli", "test")).any()
  assert pixels.fixed_binarization(images, "none", "train") is images


def test_sentences_for_what_is_missing(tmp_path):
  with pytest.raises(errors.UserError, match=r"no labels.*nearest training"):
    classifier.get_feature_network(stripes(labels=False), cache=tmp_path)
  with pytest.raises(errors.UserError, match="bernoulli, none, threshold"):
    classifier.get_feature_network(stripes(), binarize="hard", cache=tmp_path)


warp = jax.jit(classifier_training._warp, static_argnums=1)


def test_warping_by_nothing_returns_the_images(key):
  recipe = classifier_training.Recipe(
    1, max_shift=0, max_angle=0, max_log_scale=0
  )
  images = jax.random.bits(key, (5, 9, 7, 2), "uint8")
  np.testing.assert_array_equal(warp(images, recipe, key), images)


def test_warping_keeps_constant_images_and_stays_close_to_smooth_ones(key):
  flat = np.full((4, 8, 8, 1), 77, np.uint8)
  recipe = classifier_training.Recipe(1)
  np.testing.assert_array_equal(warp(flat, recipe, key), flat)
  ramp = np.broadcast_to(
    (10 * np.arange(20, dtype=np.uint8))[None, :, None, None], (64, 20, 20, 1)
  )
  warped = np.asarray(warp(ramp, recipe, key))
  centre = warped[:, 9:11, 9:11].astype(float).mean((1, 2, 3))
  # Up to 0.09 of 20 rows of 10 grey levels each.
  assert np.abs(centre - 95).max() < 18.5
  assert centre.std() > 3
  assert np.abs(centre.mean() - 95) < 6


@pytest.mark.slow("trains a classifier to 98 percent")
def test_digits_reach_98_percent(tmp_path):
  from pseudovideo.data import digits

  image_set = digits.load()
  network = classifier.get_feature_network(
    image_set,
    cache=tmp_path,
    recipe=classifier_training.default_recipe(image_set),
  )
  assert network.facts["held_out_accuracy"] >= 0.98

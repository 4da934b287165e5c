"""Classifiers that come with the package: found, and verified."""

import dataclasses
import json
import os
import random

import jax
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.data import digits
from pseudovideo.pretrained import (
  classifier,
  classifier_training,
  features,
  packaged,
  whitened_training,
)

FILES = sorted(packaged.FOLDER.iterdir())


@pytest.fixture(scope="module")
def digit_set():
  return digits.load()


@pytest.fixture(scope="module")
def content(digit_set):
  """The bytes of the file of digits."""
  path = packaged.FOLDER / packaged.file_name(digit_set, "none")
  return path.read_bytes()


def test_digits_need_no_training_and_no_cache(digit_set, tmp_path, monkeypatch):
  def train(*_):
    raise AssertionError("It was trained.")

  monkeypatch.setattr(classifier_training, "train", train)
  network = classifier.get_feature_network(digit_set, cache=tmp_path)
  facts = packaged.find(digit_set).facts
  assert network.weights_hash == facts["weights_hash"]
  assert network.weights_hash == features.weights_hash(network.params)
  assert network.provenance()["origin"] == "packaged"
  assert not list(tmp_path.iterdir())
  _, logits = network(digit_set.test_images)
  accuracy = np.mean(logits.argmax(1) == digit_set.test_labels)
  assert accuracy == network.facts["held_out_accuracy"] > 0.98


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_small_and_says_what_it_is(path):
  found = packaged.read(path)
  facts = found.facts
  size, accuracy = (4, 0.87) if facts["data"] == "cifar10" else (1, 0.98)
  assert path.stat().st_size < size * 2**20
  beginning = facts["fingerprint"][:8]
  assert path.name == f"{facts['network']}-{beginning}.safetensors"
  assert facts["held_out_accuracy"] > accuracy
  assert facts["packages"].keys() >= {"jax", "jaxlib", "flax", "numpy"}
  for array in jax.tree.leaves(found.params):
    assert array.dtype == np.float32 and not array.flags.writeable


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_recipes_are_those_of_today(path, digit_set):
  """A recipe or a network that changes needs new files."""
  recipe = packaged.read(path).facts["recipe"]
  if "epochs" in recipe:
    today = whitened_training.Recipe()
  else:
    today = dataclasses.replace(
      classifier_training.default_recipe(digit_set), steps=recipe["steps"]
    )
  assert recipe == json.loads(json.dumps(dataclasses.asdict(today)))


def test_other_images_binarizations_and_recipes_are_trained(
  digit_set, tmp_path, monkeypatch
):
  params = packaged.find(digit_set).params
  monkeypatch.setattr(classifier_training, "train", lambda *_: params)
  beginning = digit_set.fingerprint[:8]
  other = dataclasses.replace(digit_set, fingerprint=f"{beginning} and another")
  recipe = classifier_training.default_recipe(digit_set)
  assert packaged.find(other) is None
  assert packaged.find(digit_set, "threshold") is None
  for image_set, how in [
    (other, {}),
    (digit_set, {"binarize": "threshold"}),
    (digit_set, {"recipe": recipe}),
  ]:
    before = len(list(tmp_path.iterdir()))
    found = classifier.get_feature_network(image_set, cache=tmp_path, **how)
    assert found.facts["origin"] != "packaged"
    assert len(list(tmp_path.iterdir())) == before + 1


def _flip(content: bytes, rng: random.Random) -> bytes:
  """One bit: in half of the cases near the start, where the facts are."""
  changed = bytearray(content)
  end = rng.choice([3000, len(content)])
  changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
  return bytes(changed)


def _cut(content: bytes, rng: random.Random) -> bytes:
  return content[: rng.randrange(len(content))]


@pytest.mark.parametrize("damage", [_flip, _cut])
def test_no_damage_gives_other_weights_or_facts(content, tmp_path, damage):
  path = tmp_path / "file.safetensors"
  path.write_bytes(content)
  whole, rng, refused = packaged.read(path), random.Random(0), 0
  for _ in range(100):
    path.write_bytes(damage(content, rng))
    try:
      found = packaged.read(path)
    except errors.UserError:
      refused += 1
      continue
    assert found.facts == whole.facts
    assert features.weights_hash(found.params) == whole.facts["weights_hash"]
  assert refused > 90


def test_an_altered_file_is_one_sentence(
  digit_set, content, tmp_path, monkeypatch
):
  monkeypatch.setattr(packaged, "FOLDER", tmp_path)
  path = tmp_path / packaged.file_name(digit_set, "none")
  path.write_bytes(content.replace(b"0.997", b"0.999"))
  with pytest.raises(errors.UserError, match="reinstall"):
    classifier.get_feature_network(digit_set)
  path.unlink()
  os.mkfifo(path)
  with pytest.raises(errors.UserError, match="reinstall"):
    packaged.find(digit_set)


def test_facts_that_another_hash_was_written_into_are_refused(tmp_path):
  found = packaged.read(FILES[0])
  facts = {**found.facts, "weights_hash": "0" * 64}
  path = tmp_path / "file.safetensors"
  packaged.write(path, packaged.Packaged(found.params, facts))
  with pytest.raises(errors.UserError, match="reinstall"):
    packaged.read(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_written_again_has_the_same_bytes(path, tmp_path):
  packaged.write(tmp_path / path.name, packaged.read(path))
  assert (tmp_path / path.name).read_bytes() == path.read_bytes()

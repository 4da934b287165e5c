"""Distances to training and to held-out images, as many of either."""

import json

import numpy as np
import pytest

from pseudovideo.evaluation import equal_numbers, scoring
from tests.evaluation.test_scoring import flat_network, generated, image_set


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def rows(images, num, kinds=("FD", "KID", "IS"), **sizes):
  sets = scoring.sets_of(images, image_set(**sizes), num_samples=num)
  seen = [scoring.see(sets, flat_network())]
  return equal_numbers.rows(sets, seen, kinds, seed=0)


@pytest.mark.parametrize(
  ("num", "held_out", "expected"), [(60, 40, 40), (20, 40, 20), (60, 100, 60)]
)
def test_as_many_of_either(num, held_out, expected):
  found = rows(generated(60), num, held_out=held_out)
  assert set(found) == set(equal_numbers.ROWS)
  for name, records in found.items():
    assert set(records) == {"FD-flatcls", "KID-flatcls", "NN-flatcls"}
    for record in records.values():
      assert record["num_samples"] == record["reference_size"] == expected
      split = "test" if name.endswith("generated_held_out") else "train"
      assert record["reference_split"] == split
  json.dumps(found, allow_nan=False)


def test_copies_of_training_images_are_nearer_to_them():
  data = image_set(held_out=80)
  found = rows(data.train_images, 80, held_out=80)
  nearest = {name: found[name]["NN-flatcls"]["value"] for name in found}
  assert nearest["generated_train"] == 0
  assert nearest["generated_held_out"] > 0.5
  assert nearest["held_out_train"] > 0.5
  # All sets are whole, so that two of the pairs are each other's mirror.
  one, two = (
    found[name]["FD-flatcls"]["value"]
    for name in ("generated_held_out", "held_out_train")
  )
  assert one == pytest.approx(two, rel=1e-9)


def test_nearest_neighbours_are_those_of_the_features():
  found = rows(generated(30), 30)["generated_train"]["NN-flatcls"]
  data = image_set()
  places = scoring.drawn(len(data.train_images), 30, 0)
  x, y = (
    images.reshape(len(images), -1) / np.float32(255)
    for images in (generated(30), data.train_images[places])
  )
  distances = np.sqrt(np.square(x[:, None] - y[None]).sum(2).min(1))
  assert found["value"] == pytest.approx(distances.mean(), rel=1e-6)
  assert found["std"] == pytest.approx(distances.std(), rel=1e-5)


@pytest.mark.parametrize(("num", "extrapolated"), [(159, False), (160, True)])
@pytest.mark.parametrize("kinds", [("FD",), ("FD", "FD-inf")])
def test_extrapolated_where_all_parts_have_as_many_as_features(
  num, extrapolated, kinds
):
  found = rows(generated(160), num, kinds, held_out=160, training=170)
  for records in found.values():
    assert ("FD-inf-flatcls" in records) == extrapolated


def test_without_networks_there_is_nothing():
  sets = scoring.sets_of(generated(), image_set(), num_samples=20)
  found = equal_numbers.rows(sets, [], ("FD",), seed=0)
  assert found == {name: {} for name in equal_numbers.ROWS}
  assert equal_numbers.lines(found) == []

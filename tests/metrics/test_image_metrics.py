"""Scores over pixels: records like those over networks, and refusals."""

import dataclasses

import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.metrics import (
  compare,
  image_metrics,
  sliced_wasserstein,
  sources,
  spectrum,
)
from tests.metrics import pixel_network

SHAPE = (8, 9, 3)
KINDS = list(image_metrics.METRICS)


def source(num, seed=0, shape=SHAPE, title="data"):
  images = pixel_network.images(num, seed, shape)
  return sources.of_array(images, title)


def records(scored, reference, kinds=KINDS, seed=0):
  return image_metrics.records(
    scored, reference, kinds, split="some, train", seed=seed
  )


def test_records_are_like_those_over_a_network(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  scored, reference = source(40), source(50, 1)
  found = records(scored, reference, seed=3)
  over_network = compare.sets(scored, reference, pixel_network.make(), ["FD"])
  keys = set(over_network["FD-pixels"]) - {"feature_network", "warning"}
  assert list(found) == KINDS
  for name, record in found.items():
    assert set(record) == keys
    assert record["name"] == name
    assert (record["std"], record["better"]) == (None, "lower")
    assert (record["reference_split"], record["seed"]) == ("some, train", 3)
    assert isinstance(record["value"], float) and record["value"] > 0


def test_spectra_are_of_all_images():
  """Two blocks of one, a block of the other."""
  scored, reference = source(300), source(20, 1)
  record = records(scored, reference, ["spectrum"])["spectrum"]
  powers = [spectrum.power(s.blocks()) for s in (scored, reference)]
  assert record["value"] == spectrum.distance(*powers)
  assert (record["num_samples"], record["reference_size"]) == (300, 20)


@pytest.mark.parametrize("swapped", [False, True])
def test_patches_are_of_as_many_images_of_either(swapped):
  few, many = source(30), source(300, 1)
  pair = (many, few) if swapped else (few, many)
  record = records(*pair, ["SWD"], seed=5)["SWD"]
  drawn = many.chosen(30, 5)
  found = [
    sliced_wasserstein.projections(s.blocks(), 30, 5) for s in (few, drawn)
  ]
  assert record["value"] == sliced_wasserstein.distance(*found)
  assert (record["num_samples"], record["reference_size"]) == (30, 30)


def test_no_more_images_than_patches(monkeypatch):
  monkeypatch.setattr(sliced_wasserstein, "MOST_PATCHES", 50)
  record = records(source(60), source(70, 1), ["SWD"])["SWD"]
  assert (record["num_samples"], record["reference_size"]) == (50, 50)


def test_equal_sets_and_other_seeds():
  one, other = source(40), source(40, 1)
  for record in records(one, source(40)).values():
    assert record["value"] == 0
  values = [records(one, other, ["SWD"], s)["SWD"]["value"] for s in (0, 0, 1)]
  assert values[0] == values[1] != values[2]


def test_comparing_names_the_reference():
  found = compare.images(source(9), source(8, title="other"), KINDS)
  assert {record["reference_split"] for record in found.values()} == {"other"}
  found = compare.images(source(9), source(8), KINDS, split="test", seed=4)
  for record in found.values():
    assert (record["reference_split"], record["seed"]) == ("test", 4)


def test_refusals_come_before_images_are_read():
  def unread():
    raise AssertionError("The images were read.")
    yield

  video = (3, 8, 9, 3)
  for shapes, nums, kinds, said in [
    ((SHAPE, SHAPE), (1, 5), KINDS, "too few images, 1"),
    ((SHAPE, SHAPE), (5, 1), KINDS, "too few images, 1"),
    ((SHAPE, (8, 8, 3)), (5, 5), KINDS, "resize them yourself"),
    ((video, video), (5, 5), ["SWD"], r"got items of shape \(3, 8, 9, 3\)"),
    ((video, video), (5, 5), ["spectrum"], "their frames as images"),
    (((1, 9, 3), (1, 9, 3)), (5, 5), KINDS, "2 pixels or more per side"),
    ((SHAPE, SHAPE), (5, 5), ["SDW"], "did you mean 'SWD'"),
  ]:
    pair = (
      dataclasses.replace(source(num, shape=shape), blocks=unread)
      for num, shape in zip(nums, shapes, strict=True)
    )
    with pytest.raises(errors.UserError, match=said):
      compare.images(*pair, kinds)


def test_thin_images_have_patches():
  images = pixel_network.images(20, shape=(1, 9, 1)) // 2
  pair = (
    sources.of_array(some, "thin") for some in (images, images + np.uint8(51))
  )
  # Patches of one pixel: their directions are 1 and -1.
  value = compare.images(*pair, ["SWD"])["SWD"]["value"]
  assert value == pytest.approx(51 / 255, rel=1e-12)

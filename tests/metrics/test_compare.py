"""Scores of sources: blocks of both belong together, whatever is drawn."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg

from pseudovideo import errors
from pseudovideo.metrics import compare, sources
from tests.metrics import pixel_network

NUM = 700  # Two blocks and a part.


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  return tmp_path / "pseudovideo" / "summaries"


@pytest.fixture(scope="module")
def images():
  """Scored ones and references. Pair i differs by i % 7 + 1 everywhere."""
  reference = pixel_network.images(NUM) // 2
  offsets = (np.arange(NUM) % 7 + 1).astype(np.uint8)
  return reference + offsets[:, None, None, None], reference


def pair_of(images):
  return (
    sources.of_array(some, title, title)
    for some, title in zip(images, ("samples", "data"), strict=True)
  )


def distance(one, other):
  x, y = (pixel_network.features(some) for some in (one, other))
  s1, s2 = np.cov(x.T), np.cov(y.T)
  root = scipy.linalg.sqrtm(s1 @ s2).real
  return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * root)


def test_sets(images, home):
  scored, reference = pair_of(images)
  network = pixel_network.make()
  found = compare.sets(scored, reference, network, ["FD", "PR"], seed=3)
  assert list(found) == ["FD-pixels", "precision-pixels", "recall-pixels"]
  record = found["FD-pixels"]
  assert record["value"] == pytest.approx(distance(*images), rel=1e-4)
  assert (record["num_samples"], record["reference_size"]) == (NUM, NUM)
  assert (record["reference_split"], record["seed"]) == ("data", 3)
  assert len(list(home.iterdir())) == 1, "only the reference is kept"


def test_chosen_images_are_compared_with_the_whole_reference(images):
  scored, reference = pair_of(images)
  some = scored.chosen(300, 0)
  record = compare.sets(some, reference, pixel_network.make(), ["FD"])[
    "FD-pixels"
  ]
  drawn = np.concatenate(list(some.blocks()))
  assert record["value"] == pytest.approx(distance(drawn, images[1]), rel=1e-4)
  assert (record["num_samples"], record["reference_size"]) == (300, NUM)


def test_pairs_of_many_blocks(images):
  found = compare.pairs(*pair_of(images), ["PSNR"])
  errors_of_pairs = np.square(np.arange(NUM) % 7 + 1.0)
  expected = (10 * np.log10(255**2 / errors_of_pairs)).mean()
  assert found["PSNR"]["value"] == pytest.approx(expected, rel=1e-12)
  for record in found.values():
    assert (record["num_samples"], record["reference_size"]) == (NUM, NUM)
    assert record["reference_split"] == "data"


@pytest.mark.parametrize(("num", "seed"), [(1, 0), (90, 5), (NUM, 0)])
def test_drawn_pairs_stay_pairs(images, num, seed):
  """Any other partner differs by tens of grey levels."""
  found = compare.pairs(*pair_of(images), ["PSNR"], num=num, seed=seed)
  assert found["PSNR"]["num_samples"] == num
  assert found["PSNR"]["reference_size"] == num
  low, high = (20 * np.log10(255 / offset) for offset in (7, 1))
  assert low - 1e-9 <= found["PSNR"]["value"] <= high + 1e-9
  if num == 90:
    places = np.random.default_rng(seed).permutation(NUM)[:90]
    expected = 20 * np.log10(255 / (places % 7 + 1)).mean()
    assert found["PSNR"]["value"] == pytest.approx(expected, rel=1e-12)


def test_a_set_that_was_drawn_before_has_blocks_like_any_other(images):
  """It is a set of its own: item i belongs to item i."""
  scored, reference = (s.chosen(300, 1) for s in pair_of(images))
  whole = np.concatenate(list(reference.blocks()))
  found = compare.pairs(scored, sources.of_array(whole, "data"), ["PSNR"])
  assert found["PSNR"]["value"] > 20 * np.log10(255 / 7)


def test_numbers_and_sizes_must_agree(images):
  scored, reference = pair_of(images)
  few = sources.of_array(images[1][:300], "fewer", "fewer")
  for num in (None, 200, 300):
    with pytest.raises(
      errors.UserError, match="samples has 700 items and fewer 300; PSNR, IPD"
    ):
      compare.pairs(scored, few, ["PSNR", "IPD"], num=num)
    with pytest.raises(errors.UserError, match="fewer has 300 items and data"):
      compare.pairs(few, reference, ["PSNR"], num=num)
  with pytest.raises(errors.UserError, match="700 images and 701 were"):
    compare.pairs(scored, reference, ["PSNR"], num=701)
  wide = sources.of_array(images[1][:, :, :2], "narrow", "narrow")
  for function, extra in [
    (compare.pairs, (["PSNR"],)),
    (compare.sets, (pixel_network.make(), ["FD"])),
  ]:
    with pytest.raises(
      errors.UserError, match=r"samples has the shape \(4, 4, 3\) .*resize"
    ):
      function(scored, wide, *extra)


def test_one_image_is_no_set(images):
  scored, reference = pair_of(images)
  for one, other in [(scored, reference), (reference, scored)]:
    with pytest.raises(
      errors.UserError, match="has too few images, 1; scores of sets"
    ):
      compare.sets(one.chosen(1, 0), other, pixel_network.make())
    with pytest.raises(
      errors.UserError, match="has too few images, 1; scores of sets"
    ):
      compare.sets(one, other.chosen(1, 0), pixel_network.make())


def test_what_the_network_does_not_take_is_refused_before_it_is_read(images):
  def unread():
    raise AssertionError("The images were read.")
    yield

  scored, reference = (
    dataclasses.replace(some, blocks=unread) for some in pair_of(images)
  )
  small = pixel_network.make(image_shape=(8, 8, 1))
  with pytest.raises(errors.UserError, match=r"shape \(8, 8, 1\); got \(4, 4"):
    compare.sets(scored, reference, small)
  videos = pixel_network.make(frames=9)
  with pytest.raises(errors.UserError, match="takes videos of shape"):
    compare.sets(scored, reference, videos)
  with pytest.raises(errors.UserError, match="no metric named 'FVD'"):
    compare.sets(scored, reference, pixel_network.make(), ["FVD"])

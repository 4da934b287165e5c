"""Names, records and values of scores of sets."""

import json

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance

from pseudovideo import errors
from pseudovideo.metrics import precision_recall, set_metrics, sources, summary
from tests.metrics import pixel_network

NAMES = {
  "FD": ["FD"],
  "KID": ["KID"],
  "IS": ["IS"],
  "PR": ["precision", "recall"],
  "NN": ["NN"],
  "FD-inf": ["FD-inf"],
  "IS-inf": ["IS-inf"],
}


@pytest.fixture(scope="module")
def images():
  """Those that are scored, and the reference."""
  return pixel_network.images(160, 1) // 2, pixel_network.images(200, 2)


def pair_of(*sets) -> set_metrics.SetPair:
  seen = [
    summary.summarize(
      pixel_network.make(), sources.of_array(some, "some images")
    )
    for some in sets
  ]
  return set_metrics.SetPair(*seen, "train", 0)


@pytest.fixture(scope="module")
def pair(images):
  return pair_of(*images)


@pytest.fixture(scope="module")
def records(pair):
  return set_metrics.records(pair, pixel_network.make(), set_metrics.METRICS)


def test_only_published_networks_give_published_names():
  for kind, network, expected in [
    ("FD", "inception", "FID"),
    ("KID", "inception", "KID"),
    ("IS", "inception", "IS"),
    ("precision", "inception", "precision"),
    ("FD-inf", "inception", "FID-inf"),
    ("IS-inf", "inception", "IS-inf"),
    ("FD", "inception-clean", "FID-clean"),
    ("FD-inf", "inception-clean", "FID-inf-clean"),
    ("KID", "inception-clean", "KID-clean"),
    ("FD", "inception-pytorch_fid", "FID-pytorch_fid"),
    ("FD", "inception64", "FD-inception64"),
    ("IS", "inception64", "IS-inception64"),
    ("FD", "inception192-clean", "FD-inception192-clean"),
    ("FD", "digitscls", "FD-digitscls"),
    ("recall", "digitscls-threshold", "recall-digitscls-threshold"),
    (
      "FD",
      "unofficial-inception-01234567",
      "FD-unofficial-inception-01234567",
    ),
    (
      "KID",
      "unofficial-inception-clean-01234567",
      "KID-unofficial-inception-clean-01234567",
    ),
    ("FD", "i3d-01234567", "FVD-i3d-01234567"),
    ("FD", "i3d-videogpt-01234567", "FVD-i3d-videogpt-01234567"),
    ("FD-inf", "i3d-01234567", "FVD-inf-i3d-01234567"),
    ("FD", "unofficial-i3d-01234567", "FD-unofficial-i3d-01234567"),
  ]:
    named = set_metrics.named(kind, pixel_network.make(network))
    assert named == expected


def test_what_metrics_keep():
  assert set_metrics.kept([]) == set_metrics.kept(["FD"]) == set()
  assert set_metrics.kept(["FD", "IS"]) == {"logits"}
  assert set_metrics.kept(["KID"]) == set_metrics.kept(["PR"]) == {"features"}
  assert set_metrics.kept(["FD-inf", "IS-inf"]) == {"features", "logits"}


def test_an_unknown_metric_is_a_sentence(pair):
  said = r"no metric named 'FDD'; did you mean 'FD'\?.*FD, FD-inf, IS, IS-inf"
  with pytest.raises(errors.UserError, match=said):
    set_metrics.kept(["IS", "FDD"])
  with pytest.raises(errors.UserError, match=said):
    set_metrics.records(pair, pixel_network.make(), ["FDD"])


def test_every_metric_has_its_names(records):
  assert set(NAMES) == set(set_metrics.METRICS)
  expected = [f"{name}-pixels" for names in NAMES.values() for name in names]
  assert list(records) == expected


def test_records_hold_what_is_needed_to_quote_them(records):
  kinds = {name: kind for kind, names in NAMES.items() for name in names}
  for name, kind in kinds.items():
    record = records[f"{name}-pixels"]
    json.dumps(record, allow_nan=False)
    assert record["name"] == f"{name}-pixels"
    assert np.isfinite(record["value"])
    assert record["definition"].endswith(".")
    better = {"F": "lower", "K": "lower", "N": "as real"}.get(kind[0], "higher")
    assert record["better"] == better
    assert (record["num_samples"], record["seed"]) == (160, 0)
    assert record["feature_network"] == pixel_network.make().provenance()
    split, size = {
      "PR": ("train", 160),
      "IS": (None, None),
      "IS-inf": (None, None),
    }.get(kind, ("train", 200))
    assert record["reference_split"] == split
    assert record["reference_size"] == size


def test_a_metric_needs_no_more_than_it_says(records, pair, images):
  """All else that was seen of the scored images is thrown away."""
  for kind in NAMES:
    few = summary.summarize(
      pixel_network.make(),
      sources.of_array(images[0], "some images"),
      keep=set_metrics.kept([kind]),
    )
    some = set_metrics.SetPair(few, pair.reference, "train", 0)
    alone = set_metrics.records(some, pixel_network.make(), [kind])
    assert alone == {name: records[name] for name in alone}


def test_values_are_those_of_the_textbook(records, images):
  x, y = (pixel_network.features(some) for some in images)
  s1, s2 = np.cov(x.T), np.cov(y.T)
  expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(
    s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2).real
  )
  assert records["FD-pixels"]["value"] == pytest.approx(expected, rel=1e-5)

  z = pixel_network.logits(images[0])
  probs = np.exp(z) / np.exp(z).sum(1, keepdims=True)
  ratio = np.log(probs / probs.mean(0, keepdims=True))
  expected = np.exp((probs * ratio).sum(1).mean())
  assert records["IS-pixels"]["value"] == pytest.approx(expected, rel=1e-5)
  assert records["IS-pixels"]["splits"] == 1
  assert records["IS-pixels"]["std"] is None


def test_subsets_of_kid_are_as_large_as_the_smaller_set(records):
  assert "subsets of 160 (here 100)" in records["KID-pixels"]["definition"]


def test_precision_and_recall_take_equally_many_of_either(
  records, pair, images, monkeypatch
):
  assert "160 of either." in records["recall-pixels"]["definition"]
  taken = []

  def keep(real, scored, **options):
    taken.append((real, scored))
    return 0.25, 0.75

  monkeypatch.setattr(precision_recall, "precision_recall", keep)
  swapped = set_metrics.SetPair(pair.reference, pair.scored, "train", 0)
  for one in (pair, swapped):
    found = set_metrics.records(one, pixel_network.make(), ["PR"])
    assert found["precision-pixels"]["value"] == 0.25
    assert found["recall-pixels"]["value"] == 0.75
    assert found["recall-pixels"]["reference_size"] == 160
  (large, all_small), (all_small_too, large_too) = taken
  for rows in (all_small, all_small_too):
    np.testing.assert_allclose(
      rows, pixel_network.features(images[0]), rtol=1e-6
    )
  for rows in (large, large_too):
    away = scipy.spatial.distance.cdist(rows, pixel_network.features(images[1]))
    places = away.argmin(1)
    assert away.min(1).max() < 1e-6 and len(set(places)) == 160
    assert max(places) >= 160, "not the first ones only"


def test_precision_and_recall_and_kid_by_brute_force(images):
  """The sets have equally many images, so that nothing is drawn."""
  x, y = (pixel_network.features(some[:160]) for some in images)
  one = pair_of(*(some[:160] for some in images))
  found = set_metrics.records(one, pixel_network.make(), ["PR", "KID"])

  def share(inside, around):
    distances = scipy.spatial.distance.cdist(around, around)
    radii = np.sort(distances, 1)[:, 3]
    return (scipy.spatial.distance.cdist(inside, around) <= radii).any(1).mean()

  assert found["precision-pixels"]["value"] == pytest.approx(share(x, y))
  assert found["recall-pixels"]["value"] == pytest.approx(share(y, x))
  assert found["precision-pixels"]["value"] != found["recall-pixels"]["value"]

  def kernel(a, b):
    return (a @ b.T / pixel_network.DIM + 1) ** 3

  within = [kernel(a, a)[~np.eye(160, dtype=bool)].mean() for a in (x, y)]
  expected = sum(within) - 2 * kernel(x, y).mean()
  assert found["KID-pixels"]["value"] == pytest.approx(expected, rel=1e-4)
  assert found["KID-pixels"]["std"] is None


def test_too_few_images_are_sentences(images):
  one = pair_of(images[0][:3], images[0][:3])
  for kind in ("PR", "FD-inf", "IS-inf"):
    with pytest.raises(errors.UserError, match="at least"):
      set_metrics.records(one, pixel_network.make(), [kind])

import json

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from pseudovideo import errors, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.evaluation import scoring
from pseudovideo.pretrained import features


def flatten(params, images):
  """Features are 16 pixels and logits 4 of them: no training needed."""
  flat = images.reshape(len(images), -1).astype(jnp.float32) / 255
  return flat, 8 * flat[:, :4]


def flat_network(binarize="none") -> features.FeatureNetwork:
  return features.FeatureNetwork(
    name="flatcls",
    weights_hash="ab" * 32,
    feature_dim=16,
    num_classes=4,
    image_shape=(4, 4, 1),
    forward=flatten,
    params={},
    facts={},
    binarize=binarize,
  )


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def image_set(labels=True, held_out=40, training=80) -> ImageSet:
  rng = np.random.default_rng(0)
  num = training + held_out
  images = rng.integers(0, 256, (num, 4, 4, 1), dtype=np.uint8)
  classes = np.arange(num, dtype=np.int32) % 4
  return ImageSet(
    name="noise",
    train_images=images[:training],
    train_labels=classes[:training] if labels else None,
    test_images=images[training:],
    test_labels=classes[training:] if labels else None,
    num_classes=4 if labels else None,
    source="made here",
    fingerprint="4567",
  )


def generated(num=60):
  rng = np.random.default_rng(1)
  return rng.integers(0, 128, (num, 4, 4, 1), dtype=np.uint8)


def test_records_equal_the_textbook_and_say_what_they_are():
  data = image_set()
  scores = scoring.score(generated(), data, [flat_network()], num_samples=50)
  assert list(scores) == ["generated", "real"]
  record = scores["generated"]["FD-flatcls"]
  x = flat_network()(generated()[:50])[0].astype(np.float64)
  y = flat_network()(data.train_images)[0].astype(np.float64)
  s1, s2 = np.cov(x.T), np.cov(y.T)
  expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(
    s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2).real
  )
  assert record["value"] == pytest.approx(expected, rel=1e-9)
  assert record["num_samples"] == 50
  assert record["reference_split"] == "train"
  assert record["reference_size"] == 80
  assert record["feature_network"]["weights_hash"] == "ab" * 32
  assert scores["real"]["FD-flatcls"]["num_samples"] == 40
  kinds = ("FD", "KID", "IS", "NN")
  names = {*(f"{kind}-flatcls" for kind in kinds), "nearest-train"}
  for row in scores.values():
    assert set(row) == names
    for record in row.values():
      assert record["definition"].endswith(".")
  json.dumps(scores, allow_nan=False)


def test_real_data_scores_better_than_darker_images():
  scores = scoring.score(
    generated(), image_set(), [flat_network()], num_samples=40
  )
  for name in ("FD-flatcls", "KID-flatcls"):
    real, fake = scores["real"][name], scores["generated"][name]
    assert real["value"] < fake["value"]
  assert (
    scores["real"]["IS-flatcls"]["value"]
    > scores["generated"]["IS-flatcls"]["value"]
  )


def test_copies_show_beside_held_out_images():
  data = image_set()
  scores = scoring.score(data.train_images, data, [], num_samples=40)
  assert scores["generated"]["nearest-train"]["value"] == 0
  assert scores["real"]["nearest-train"]["value"] > 0.5


def test_the_first_samples_and_as_many_held_out_ones_are_scored():
  many, few = generated(60), generated(60)[:20]
  one = scoring.score(
    many, image_set(), [flat_network()], num_samples=20, seed=3
  )
  two = scoring.score(
    few, image_set(), [flat_network()], num_samples=20, seed=3
  )
  assert one == two
  assert one["real"]["FD-flatcls"]["num_samples"] == 20


def test_data_are_shown_to_a_network_once(tmp_path):
  """So are the held-out images, however many of them are scored."""
  shown = []

  class Watched(features.FeatureNetwork):
    def stream(self, blocks, batch_size=None):
      for rows, outputs in super().stream(blocks, batch_size):
        shown.append(rows.stop - rows.start)
        yield rows, outputs

  network = Watched(**vars(flat_network()))
  first = scoring.score(generated(), image_set(), [network], num_samples=20)
  assert sorted(shown) == [20, 40, 80]
  again = scoring.score(generated(), image_set(), [network], num_samples=20)
  assert sorted(shown) == [20, 20, 40, 80], "the samples"
  assert again == first
  assert len([*(tmp_path / "pseudovideo" / "summaries").iterdir()]) == 2


def test_splits_hold_at_least_500_samples():
  images = np.tile(generated(60), (25, 1, 1, 1))
  scores = scoring.score(
    images, image_set(), [flat_network()], num_samples=1499
  )
  assert scores["generated"]["IS-flatcls"]["splits"] == 2
  assert scores["real"]["IS-flatcls"]["splits"] == 1


def test_pixels_are_compared_without_a_network():
  kinds = ("FD", "SWD", "spectrum")
  scores = scoring.score(
    generated(), image_set(), [], num_samples=20, kinds=kinds
  )
  for row in scores.values():
    assert set(row) == {"SWD", "spectrum", "nearest-train"}
    assert row["SWD"]["num_samples"] == row["spectrum"]["num_samples"] == 20
  for name in ("SWD", "spectrum"):
    values = (scores[row][name]["value"] for row in ("real", "generated"))
    assert next(values) < next(values)


def test_without_labels_only_the_distance_remains():
  data = image_set(labels=False)
  scores = scoring.score(generated(), data, [], num_samples=10)
  assert all(set(row) == {"nearest-train"} for row in scores.values())


def test_binarized_data_are_compared_with_binarized_data():
  network = flat_network("threshold")
  data = image_set()
  copies = pixels.fixed_binarization(data.train_images, "threshold", "train")
  scores = scoring.score(
    copies, data, [network], num_samples=80, binarize="threshold"
  )
  assert scores["generated"]["nearest-train"]["value"] == 0
  assert scores["generated"]["FD-flatcls"]["value"] < 1e-8


def test_a_network_of_other_data_is_refused():
  with pytest.raises(ValueError, match="is for binarize='none'"):
    scoring.score(
      generated(),
      image_set(),
      [flat_network()],
      num_samples=9,
      binarize="threshold",
    )


def test_without_labels_data_are_binarized_too():
  data = image_set(labels=False)
  copies = pixels.fixed_binarization(data.train_images, "threshold", "train")
  scores = scoring.score(copies, data, [], num_samples=80, binarize="threshold")
  assert scores["generated"]["nearest-train"]["value"] == 0


@pytest.mark.parametrize("how", ["threshold", "bernoulli"])
def test_grey_samples_of_binarized_data_are_thresholded(how):
  network = flat_network(how)
  data = image_set()
  grey = (
    pixels.fixed_binarization(data.train_images, how, "train") // 255 * 128 + 60
  )
  scores = scoring.score(grey, data, [network], num_samples=80, binarize=how)
  assert scores["generated"]["nearest-train"]["value"] == 0
  assert scores["generated"]["FD-flatcls"]["value"] < 1e-8
  for name, record in scores["generated"].items():
    assert record["binarize"] == "threshold"
    assert scores["real"][name]["binarize"] == how


@pytest.mark.parametrize(
  ("images", "held_out", "num", "message"),
  [
    (generated(60), 40, 61, "only 60 were generated"),
    (generated(60), 40, 1, "must be at least 2"),
    (generated(60), 1, 10, "1 held-out"),
    (generated(60)[:, :3], 40, 10, "model was trained on"),
  ],
)
def test_mistakes_are_sentences(images, held_out, num, message):
  with pytest.raises(errors.UserError, match=message):
    scoring.score(images, image_set(held_out=held_out), [], num_samples=num)

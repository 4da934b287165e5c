"""The study of instruments: what it changes, what it measures, what it says."""

import dataclasses
import json

import numpy as np
import PIL.Image
import pytest
import scipy.ndimage

from experiments.studies import instruments
from experiments.studies.sensitivity import (
  corruptions,
  inputs,
  measure,
  table,
  verdicts,
)
from pseudovideo.data.image_set import ImageSet
from pseudovideo.metrics import sources
from pseudovideo.runs import results
from tests.metrics import pixel_network

SHAPE = (8, 6, 3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def images(num, seed=0, shape=SHAPE):
  rng = np.random.default_rng(seed)
  smooth = scipy.ndimage.gaussian_filter(
    rng.standard_normal((num, *shape)), (0, 2, 2, 0)
  )
  return np.clip(128 + 250 * smooth, 0, 255).astype(np.uint8)


def image_set(training=60, held_out=40) -> ImageSet:
  classes = np.arange(training + held_out, dtype=np.int32) % 4
  return ImageSet(
    name="smooth",
    train_images=images(training),
    train_labels=classes[:training],
    test_images=images(held_out, 1),
    test_labels=classes[training:],
    num_classes=4,
    source="made here",
    fingerprint="89ab",
  )


def change(name, strength, given):
  rng = np.random.default_rng(0)
  return corruptions.CORRUPTIONS[name].apply(given, strength, rng)


def test_noise_has_its_deviation_and_is_nested():
  grey = np.full((50, *SHAPE), 128, np.uint8)
  weak, strong = (change("noise", s, grey).astype(float) - 128 for s in (4, 8))
  assert weak.std() == pytest.approx(np.sqrt(16 + 1 / 12), rel=0.05)
  np.testing.assert_allclose(strong, 2 * weak, atol=1.5)


@pytest.mark.parametrize("strength", [0.4, 0.9])
def test_blur_is_gaussian(strength):
  given = images(2)
  expected = [
    np.stack(
      [
        scipy.ndimage.gaussian_filter(image[..., c].astype(float), strength)
        for c in range(3)
      ],
      -1,
    )
    for image in given
  ]
  np.testing.assert_allclose(
    change("blur", strength, given), expected, atol=0.6
  )


def test_contrast_shrinks_the_deviation_of_each_image():
  given = images(4)
  found = change("contrast", 0.2, given).astype(float)
  for image, less in zip(given.astype(float), found, strict=True):
    assert less.mean() == pytest.approx(image.mean(), abs=0.2)
    assert less.std() == pytest.approx(0.8 * image.std(), rel=0.02)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows(tmp_path, channels):
  given = images(2, shape=(16, 16, channels))
  found = change("JPEG", 25, given)
  path = tmp_path / "image.jpg"
  PIL.Image.fromarray(given[1].squeeze()).save(path, quality=75)
  expected = np.asarray(PIL.Image.open(path)).reshape(given[1].shape)
  np.testing.assert_array_equal(found[1], expected)


def test_sets_are_what_they_are_called():
  data = image_set()
  found = corruptions.conditions(data, 20, 0)
  by_name = {(c.name, c.strength): c for c in found if c.name != "clean"}
  sizes = {c.num for c in found if c.name == "clean"}
  for condition in by_name.values():
    assert condition.num in sizes
    for part in condition.parts:
      assert len(part.places) <= 20
  for dropped in (1, 2):
    (part,) = by_name["classes dropped", dropped].parts
    labels = data.test_labels[part.places]
    assert labels.min() == dropped and len(set(part.places)) == len(labels)
  for share in (0.1, 0.5):
    (part,) = by_name["duplicates", share].parts
    assert len(set(part.places)) == round((1 - share) * 20)
    kept, learned = by_name["memorised", 0.5].parts
  assert (kept.pool, learned.pool) == ("clean", "training")
  assert len(kept.places) == len(learned.places) == 10
  for name in corruptions.CORRUPTIONS:
    strengths = corruptions.CORRUPTIONS[name].strengths
    places = [by_name[name, s].parts[0].places for s in strengths]
    assert all((p == places[0]).all() for p in places)


def test_without_enough_images_fewer_are_compared_with_as_few():
  found = corruptions.conditions(image_set(), 40, 0)
  sizes = [c.num for c in found if c.name == "classes dropped"]
  assert sizes == [30, 20]
  assert {40, 30, 20} == {c.num for c in found if c.name == "clean"}


def row(value, halves=(0.0, 0.1), better="lower", **more):
  more = {"strength": 1.0, "num": 9, **more}
  return {"value": value, "halves": halves, "better": better, **more}


@pytest.mark.parametrize(
  ("values", "better", "expected"),
  [
    ((2, 3), "lower", "from 1"),
    ((1.01, 3), "lower", "from 2"),
    ((1.01, 1.02), "lower", "blind"),
    ((3, 2), "lower", "not monotone"),
    ((3, 1.01), "lower", "not monotone"),
    ((0.5, 3), "lower", "reversed"),
    ((0.5, 0.3), "higher", "from 1"),
    ((2, 3), "higher", "reversed"),
    ((0.5, 0.3), "as real", "from 1"),
    ((2, 3), "as real", "from 1"),
  ],
)
def test_verdicts(values, better, expected):
  """The standard error of a difference is 0.1 here."""
  halves = (0.0, np.sqrt(2) * 0.1)
  levels = [
    row(value, halves, better, strength=float(strength))
    for strength, value in enumerate(values, 1)
  ]
  clean = [row(1.0, (0.0, 0.0), better)] * 2
  assert verdicts.worse(levels[0], clean[0])[1] == pytest.approx(0.1)
  assert verdicts.verdict(levels, clean) == expected


def test_halves_tell_the_standard_error_of_a_mean():
  """Over 300 sets of 64 draws: sigma / 8, from as few as 8 halves of each."""
  rng = np.random.default_rng(0)
  draws = rng.standard_normal((300, 64))
  halves = measure.halves_of(64, 0)
  assert len(halves) == measure.HALVES
  errors = [np.std([d[h].mean() for h in halves], ddof=1) for d in draws]
  assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1 / 8, rel=0.1)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
  """A study of smooth images over a few pixels."""
  monkeypatch = pytest.MonkeyPatch()
  folder = tmp_path_factory.mktemp("study")
  monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
  network = pixel_network.make("own")
  monkeypatch.setattr(
    instruments.feature_networks, "networks_for", lambda *_, use: [network]
  )
  monkeypatch.setattr(instruments.inputs, "measure", lambda *_: [])
  path = folder / "study.json"
  found = instruments.run_study(image_set(), path, (20, 40))
  monkeypatch.setattr(instruments.measure, "scores", None)
  again = instruments.run_study(image_set(), path, (20, 40))
  monkeypatch.undo()
  assert again == found == results.read_json(path)
  return found


def test_every_score_of_every_set(record):
  rows = record["rows"]
  metrics = {verdicts.full_name(one) for one in rows}
  kinds = ("FD", "KID", "IS", "precision", "recall", "NN")
  assert metrics == {"spectrum", "SWD", *(f"{kind}-own" for kind in kinds)}
  assert {one["size"] for one in rows} == {20, 40}
  for one in rows:
    assert len(one["halves"]) == measure.HALVES
    assert one["standard_error"] == pytest.approx(np.std(one["halves"], ddof=1))
  noisy = {
    one["strength"]: one["value"]
    for one in rows
    if (one["metric"], one["change"], one["size"]) == ("spectrum", "noise", 40)
  }
  assert noisy[16] > noisy[8] > noisy[4] > 0


def test_scores_are_those_of_the_metrics(record):
  """Clean images of the largest size: the held-out split as it is."""
  data = image_set()
  clean = {
    verdicts.full_name(one): one["value"]
    for one in record["rows"]
    if (one["change"], one["num"]) == ("clean", 40)
  }
  x, y = (
    pixel_network.features(some)
    for some in (data.test_images, data.train_images)
  )
  distances = np.sqrt(np.square(x[:, None] - y[None]).sum(2))
  assert clean["NN-own"] == pytest.approx(distances.min(1).mean(), rel=1e-5)
  spread = np.square(x.mean(0) - y.mean(0)).sum()
  assert clean["FD-own"] > spread


def test_tables_name_every_change(record):
  header, lines = table.of_size(record, 40)
  assert header[2:-1] == corruptions.names()
  assert len(lines) == 8 and all(len(line) == len(header) for line in lines)
  assert table.sizes(record) == [20, 40]
  text = instruments.text(record, "md")
  assert "smooth" in text and "NN-own" in text


def test_other_data_are_measured_anew(record, tmp_path):
  path = tmp_path / "study.json"
  results.write_json(path, record)
  other = dataclasses.replace(image_set(), fingerprint="cdef")
  assert instruments._begun(image_set(), path)["rows"]
  assert not instruments._begun(other, path)["rows"]


def test_a_linear_classifier_tells_what_features_say():
  """Classes that differ in brightness, seen by pixels, and by chance."""
  data = image_set(120, 80)
  bright = (np.arange(200) % 4).astype(np.int32)
  levels = np.broadcast_to(60 * bright[:, None, None, None], (200, *SHAPE))
  data = dataclasses.replace(
    data,
    train_images=levels[:120].astype(np.uint8),
    test_images=levels[120:].astype(np.uint8),
    train_labels=bright[:120],
    test_labels=bright[120:],
  )
  found = inputs.accuracy(data, pixel_network.make(), 0)
  assert found["accuracy"] == 1
  assert (found["labels"], found["tested"]) == (120, 80)
  shuffled = dataclasses.replace(
    data, train_labels=np.random.default_rng(0).permutation(bright[:120])
  )
  assert inputs.accuracy(shuffled, pixel_network.make(), 0)["accuracy"] < 0.6


def test_scales_differ_as_they_say():
  given = images(1)
  lite, other = (np.asarray(look(given, 16)) for look in inputs.SCALES.values())
  grey = lite * 128 + 127
  expected = (grey / 255 - inputs.MEAN) / inputs.DEVIATION
  np.testing.assert_allclose(other, expected, atol=1e-4)


def test_mistakes_are_sentences(tmp_path, capsys, monkeypatch):
  root = f"--root={tmp_path}"
  assert instruments.main(["report", root]) == 2
  assert "experiments run instruments" in capsys.readouterr().err
  blind = dataclasses.replace(image_set(), train_labels=None, test_labels=None)
  monkeypatch.setattr(instruments.data, "load", lambda name, data_dir: blind)
  assert instruments.main(["run", root]) == 2
  assert "with labels" in capsys.readouterr().err


def test_pixels_need_no_network():
  training = sources.of_split(image_set(), "train")
  found = measure.Pixels(training).score(
    {"images": image_set().train_images}, 0
  )
  assert found["spectrum"].value == found["SWD"].value == 0


@pytest.mark.parametrize(
  "damage",
  [
    lambda record: [],
    lambda record: {"data": 3},
    lambda record: {**record, "networks": 3},
    lambda record: {**record, "rows": 3},
    lambda record: {**record, "rows": [{"instrument": "own"}]},
    lambda record: {
      **record,
      "rows": [{**row, "value": "x"} for row in record["rows"]],
    },
    lambda record: {
      **record,
      "rows": [row for row in record["rows"] if row["change"] != "clean"],
    },
  ],
)
def test_damaged_records_are_refused(record, tmp_path, capsys, damage):
  path = tmp_path / "instruments" / "smooth.json"
  path.parent.mkdir()
  path.write_text(json.dumps(damage(record)))
  arguments = [f"--root={tmp_path}", "--dataset=smooth"]
  assert instruments.main(["report", *arguments]) == 2
  assert str(path) in capsys.readouterr().err


def test_records_over_other_weights_are_measured_anew(
  record, tmp_path, monkeypatch
):
  monkeypatch.setattr(
    instruments.feature_networks,
    "networks_for",
    lambda *_, use: [pixel_network.make("own")],
  )
  monkeypatch.setattr(instruments.inputs, "measure", lambda *_: [])
  asked = []

  def scores(image_set, instrument, sizes, *, seed):
    asked.append(instrument.name)
    return [row for row in record["rows"] if row["instrument"] == "own"]

  monkeypatch.setattr(instruments.measure, "scores", scores)
  path = tmp_path / "study.json"
  other = {**record["networks"]["own"], "weights_hash": "cd" * 32}
  old = {**record, "networks": {**record["networks"], "own": other}}
  results.write_json(path, old)
  found = instruments.run_study(image_set(), path, (20, 40))
  assert asked == ["own"]
  assert found["networks"] == record["networks"]
  assert len(found["rows"]) == len(record["rows"])


def test_a_few_held_out_images_are_too_few(tmp_path, capsys, monkeypatch):
  few = image_set(held_out=instruments.LEAST - 1)
  monkeypatch.setattr(instruments.data, "load", lambda name, data_dir: few)
  assert instruments.main(["run", f"--root={tmp_path}"]) == 2
  assert f"{instruments.LEAST} held-out" in capsys.readouterr().err

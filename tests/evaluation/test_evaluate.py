"""From a checkpoint to results.json and report.html."""

import dataclasses
import hashlib
import html.parser
import pathlib
import shutil
import types

import jax
import numpy as np
import pytest

from configs import hvae
from pseudovideo import data, errors, main, pixels, runs
from pseudovideo.config import comparing, parsing
from pseudovideo.evaluation import evaluate, sampling
from pseudovideo.metrics import set_metrics
from pseudovideo.pretrained import inception
from pseudovideo.runs import checkpoints, results, sample_files
from tests.metrics import pixel_network

TINY = f"--config={pathlib.Path(hvae.__file__)}:preset=tiny"
NETWORK_METRICS = {f"{kind}-digitscls" for kind in ("FD", "KID", "IS", "NN")}


@pytest.fixture(scope="module", autouse=True)
def one_sampler():
  """Lets all evaluations share a sampler, which is traced once."""
  made, make = {}, sampling.make_sampler

  def shared(task, mesh):
    if (repr(task), mesh) not in made:
      made[repr(task), mesh] = make(task, mesh)
    return made[repr(task), mesh]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sampling, "make_sampler", shared)
    yield


@pytest.fixture(scope="module")
def evaluated(tiny_run, tmp_path_factory):
  """Folder of a run that was evaluated, and what that returned."""
  workdir = tmp_path_factory.mktemp("evaluated") / "run"
  shutil.copytree(tiny_run, workdir)
  return workdir, evaluate.evaluate(runs.restore(workdir))


@pytest.fixture
def run(tiny_run, tmp_path):
  """A run whose folder may be written to."""
  workdir = tmp_path / "run"
  shutil.copytree(tiny_run, workdir)
  return runs.restore(workdir)


def nearest(images, training) -> float:
  """Mean distance to the nearest training image, pixel by pixel."""
  flat = [np.float64(a).reshape(len(a), -1) / 255 for a in (images, training)]
  differences = flat[0][:, None] - flat[1][None]
  return np.sqrt(np.square(differences).sum(axis=2)).min(axis=1).mean()


# Restoring.


def test_a_run_comes_back_with_its_config(tiny_run):
  run = runs.restore(tiny_run)
  raw = parsing.complete(hvae.get_config("preset=tiny"))
  assert run.config == parsing.parse(raw)
  assert (
    run.config.raw == runs.saved_config(tiny_run).raw == comparing.to_json(raw)
  )
  assert run.step == 8
  assert run.task.image_shape == run.image_set.image_shape == (8, 8, 1)


def test_the_weights_are_the_averaged_ones(tiny_run):
  run = runs.restore(tiny_run)
  _, parts, _ = checkpoints.load(tiny_run, parts=("ema", "params"))
  restored, ema, last = (
    jax.tree.leaves(tree) for tree in (run.params, *parts.values())
  )
  for a, b in zip(restored, ema, strict=True):
    np.testing.assert_array_equal(a, b)
  assert any(np.any(a != b) for a, b in zip(ema, last, strict=True))


def test_an_older_checkpoint_can_be_evaluated(tiny_run, tmp_path):
  shutil.copytree(tiny_run, tmp_path / "run")
  record = evaluate.evaluate(
    runs.restore(tmp_path / "run", step=4), num_samples=16
  )
  assert record["step"] == 4 and record["images_seen"] == 4 * 16


# Scores.


def test_results_hold_what_is_needed_to_quote_them(evaluated):
  workdir, returned = evaluated
  record = results.read(workdir / evaluate.RESULTS_FILE)
  assert record == comparing.to_json(returned)
  run = runs.restore(workdir)
  size = sum(leaf.size for leaf in jax.tree.leaves(run.params))
  expected = {
    "title": run.config.title,
    "seeds": {"train": 0, "sample": 0},
    "ema": True,
    "samples_file": None,
    "step": 8,
    "images_seen": 8 * 16,
    "num_parameters": size,
    "network_evaluations": run.config.task_fields["levels"],
    "config": run.config.raw,
    "data": {
      "name": "digits",
      "source": run.image_set.source,
      "fingerprint": run.image_set.fingerprint,
      "held_out": 360,
      "trained_on": run.image_set.fingerprint,
      "earlier": [],
    },
  }
  assert {name: record[name] for name in expected} == expected
  assert 0 < record["wall_seconds"]["train"] < 600
  assert 0 < record["wall_seconds"]["sample"] < 600


def test_generated_and_held_out_images_are_scored_alike(evaluated):
  rows = evaluated[1]["metrics"]
  assert set(rows) == {"generated", "real"}
  for metrics in rows.values():
    assert set(metrics) == NETWORK_METRICS | {"nearest-train"}
    assert {m["num_samples"] for m in metrics.values()} == {32}
    for metric in metrics.values():
      assert metric["reference_size"] in (1437, None)
  for name in ("FD-digitscls", "nearest-train"):
    real, generated = (
      rows[row][name]["value"] for row in ("real", "generated")
    )
    assert real < generated, "eight steps do not make digits"


def test_the_last_frames_are_scored(evaluated):
  workdir, record = evaluated
  drawn = sample_files.load(workdir / sample_files.NAME)
  assert (drawn.seed, drawn.step) == (0, 8)
  np.testing.assert_array_equal(
    drawn.images[: len(drawn.videos)], drawn.videos[:, -1]
  )
  training = runs.restore(workdir).image_set.train_images
  value = record["metrics"]["generated"]["nearest-train"]["value"]
  np.testing.assert_allclose(value, nearest(drawn.images, training), rtol=1e-5)


def test_a_second_evaluation_gives_the_same(evaluated, run):
  again = evaluate.evaluate(run)
  assert again["metrics"] == evaluated[1]["metrics"]


def test_sampling_and_evaluating_draw_the_same_images(evaluated, run):
  said = evaluate.sample(run, num_samples=10)
  assert said.startswith(f"10 samples of step 8 are in {run.workdir}")
  few = sample_files.load(run.workdir / sample_files.NAME).images
  many = sample_files.load(evaluated[0] / sample_files.NAME).images
  assert few.shape == (10, 8, 8, 1)
  difference = few.astype(int) - many[:10].astype(int)
  assert np.abs(difference).max() <= 1, "batches of 10 and of 16"


@pytest.mark.parametrize(
  ("num", "rate"), [(8, None), (7, None), (24, 8 / 3), (17, 8 / 3)]
)
def test_the_speed_is_that_of_batches_after_the_first(
  run, monkeypatch, num, rate
):
  """The first one takes 100 seconds here, the others 3; all draw 8 images."""
  now = [0.0]

  def slow(task, mesh):
    def sample(params, extra, rows):
      now[0] += 3.0 if now[0] else 100.0
      videos = np.zeros((len(rows), 2, 8, 8, 1), np.uint8)
      return pixels.Quantized(videos, np.ones(len(rows), bool))

    return sample

  monkeypatch.setattr(evaluate.sampling, "make_sampler", slow)
  clock = types.SimpleNamespace(monotonic=lambda: now[0])
  monkeypatch.setattr(evaluate, "time", clock)
  evaluation = dataclasses.replace(run.config.evaluate, batch_size=8)
  config = dataclasses.replace(run.config, evaluate=evaluation)
  drawn = evaluate.draw(dataclasses.replace(run, config=config), num)
  assert drawn.images.shape == (num, 8, 8, 1)
  assert drawn.per_second == rate
  assert drawn.seconds == (100 if rate is None else 106)


def test_images_of_a_file_are_scored_instead(run, tmp_path, monkeypatch):
  monkeypatch.setattr(evaluate, "draw", None)
  path = tmp_path / "training_images.npz"
  np.savez(path, images=run.image_set.train_images[:40])
  record = evaluate.evaluate(run, samples=path)
  metrics = record["metrics"]["generated"]
  assert metrics["nearest-train"]["value"] == 0, "they are copies"
  assert {m["num_samples"] for m in metrics.values()} == {40}
  assert record["samples_file"] == {
    "name": "training_images.npz",
    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
  }
  assert record["seeds"]["sample"] is None
  assert not (run.workdir / sample_files.NAME).exists()
  fewer = evaluate.evaluate(run, samples=path, num_samples=12)
  metrics = fewer["metrics"]["generated"]
  assert {m["num_samples"] for m in metrics.values()} == {12}


@pytest.mark.parametrize(
  ("step", "num_samples", "message"),
  [
    (4, None, "holds samples of step 4, not of step 8; give --step=4."),
    (8, 21, "21 samples were to be scored but only 20 were generated"),
    (8, 1, "at least 2 for scores; got 1."),
  ],
)
def test_what_cannot_be_scored(run, tmp_path, step, num_samples, message):
  path = tmp_path / "samples.npz"
  images = run.image_set.test_images[:20]
  drawn = sample_files.Samples(images, images[:2, None], 0, None, step)
  sample_files.save(path, drawn)
  with pytest.raises(errors.UserError, match=message):
    evaluate.evaluate(run, samples=path, num_samples=num_samples)
  assert not (run.workdir / evaluate.RESULTS_FILE).exists()


def test_without_a_network_the_nearest_image_remains(run):
  unlabelled = dataclasses.replace(
    run.image_set, train_labels=None, test_labels=None, num_classes=None
  )
  config = dataclasses.replace(
    run.config,
    evaluate=dataclasses.replace(run.config.evaluate, efflite0="never"),
  )
  blind = dataclasses.replace(run.on(unlabelled), config=config)
  record = evaluate.evaluate(blind, num_samples=16)
  for metrics in record["metrics"].values():
    assert set(metrics) == {"nearest-train"}


def test_fid_stands_beside_the_distance_of_the_classifier(run, monkeypatch):
  """Another network in Inception's place; it looks at the first six pixels."""
  network = pixel_network.make("inception")
  monkeypatch.setattr(inception, "load", lambda: network)
  config = dataclasses.replace(
    run.config,
    evaluate=dataclasses.replace(
      run.config.evaluate, inception="always", metrics="FD, PR"
    ),
  )
  evaluate.evaluate(dataclasses.replace(run, config=config), num_samples=20)
  rows = results.read(run.workdir / evaluate.RESULTS_FILE)["metrics"]
  kinds = ("precision", "recall")
  for row in rows.values():
    assert set(row) == {
      "FD-digitscls",
      "NN-digitscls",
      "NN",
      *(f"{kind}-digitscls" for kind in kinds),
      "FID",
      *kinds,
      "nearest-train",
    }
    assert row["FID"]["feature_network"] == network.provenance()
    assert row["FID"]["num_samples"] == 20
  drawn = sample_files.load(run.workdir / sample_files.NAME).images
  x, y = (
    pixel_network.features(some) for some in (drawn, run.image_set.train_images)
  )
  # Corners of digits are black: with singular covariances, the root's trace
  # is a nuclear norm.
  one, two = ((s - s.mean(0)) / np.sqrt(len(s) - 1) for s in (x, y))
  expected = (
    np.square(x.mean(0) - y.mean(0)).sum()
    + np.square(one).sum()
    + np.square(two).sum()
    - 2 * np.linalg.norm(one @ two.T, "nuc")
  )
  assert rows["generated"]["FID"]["value"] == pytest.approx(expected, rel=1e-3)
  assert "FID" in (run.workdir / "report.html").read_text()


def test_metrics_can_be_chosen_on_the_command_line(run):
  at = [f"--workdir={run.workdir}", "--mode=evaluate", TINY]
  fewer = "--config.evaluate.num_samples=16"
  assert main.main([*at, fewer, "--config.evaluate.metrics=FD,PR"]) == 0
  row = results.read(run.workdir / evaluate.RESULTS_FILE)["metrics"]
  assert set(row["generated"]) == {
    "FD-digitscls",
    "NN-digitscls",
    "precision-digitscls",
    "recall-digitscls",
    "nearest-train",
  }


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ("metrics=FD,PRR", "named 'PRR'; did you mean 'PR'?"),
    ("metrics=", "metrics named ''"),
    ("metrics=FID", "metrics named 'FID'; did you mean 'FD'?"),
    ("inception=allways", "did you mean 'always'?"),
  ],
)
def test_misspelt_metrics_are_refused_before_sampling(
  run, capsys, change, message
):
  at = [f"--workdir={run.workdir}", "--mode=evaluate", TINY]
  assert main.main([*at, f"--config.evaluate.{change}"]) == 2
  said = capsys.readouterr()
  assert said.out == "" and message in said.err
  assert not (run.workdir / sample_files.NAME).exists()


def test_the_table_has_generated_and_held_out_side_by_side(evaluated):
  scores = evaluated[1]["metrics"]
  lines = evaluate.table_lines(scores)
  assert len({len(line) for line in lines}) == 1, "aligned"
  assert lines[0].split() == ["metric", "generated", "held-out", "data"]
  assert lines[-1].split() == ["images", "32", "32"]
  for line, (name, metric) in zip(
    lines[1:-1], scores["generated"].items(), strict=True
  ):
    real = scores["real"][name]["value"]
    assert line.split() == [name, f"{metric['value']:.4f}", f"{real:.4f}"]


def test_inception_scores_are_printed_with_their_ceiling(evaluated):
  scores = evaluated[1]["metrics"]["generated"]
  (line,) = set_metrics.about_inception_scores(scores)
  assert line.startswith("IS-") and line.endswith("at most 10.")


# The report.


class Links(html.parser.HTMLParser):
  """Everything that a browser would load."""

  def __init__(self):
    super().__init__()
    self.found = []

  def handle_starttag(self, tag, attrs):
    del tag
    self.found += [v for k, v in attrs if k in ("src", "href", "srcset")]


def test_the_report_is_one_file_with_everything(evaluated):
  workdir, record = evaluated
  text = (workdir / "report.html").read_text()
  links = Links()
  links.feed(text)
  assert len(links.found) >= 4, "film strips of both kinds, two grids"
  assert all(link.startswith(("data:", "#")) for link in links.found)
  assert "url(http" not in text and "@import" not in text
  for word in (
    record["title"],
    *record["metrics"]["generated"],
    "Pseudo videos",
    "Generated videos",
    "squared error",
    "heat_hvae",
    "multipliers",
  ):
    assert word in text, word


def test_pseudo_videos_end_with_training_images(tiny_run):
  run = runs.restore(tiny_run)
  videos = evaluate.pseudo_videos(run)
  shown = data.spread(run.image_set.train_images, len(videos))
  assert videos.shape[1] == run.task.levels + 1
  np.testing.assert_array_equal(videos[:, -1], shown)
  roughness = np.abs(np.diff(np.float64(videos), axis=3)).mean(axis=(0, 2, 3))
  assert roughness[0] < roughness[-1], "the first frame is the most blurred"


def test_pictures_are_spread_over_a_sorted_set():
  images = np.arange(100).reshape(100, 1, 1, 1).astype(np.uint8)
  assert data.spread(images, 4).ravel().tolist() == [0, 33, 66, 99]
  assert len(data.spread(images, 500)) == 100

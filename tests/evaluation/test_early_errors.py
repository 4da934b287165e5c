"""What is found before samples are drawn, and what is lost without harm."""

import dataclasses
import shutil

import numpy as np
import pytest

from pseudovideo import errors, runs
from pseudovideo.evaluation import evaluate, feature_networks
from pseudovideo.files import writable
from pseudovideo.metrics import set_metrics
from pseudovideo.pretrained import (
  classifier,
  efficientnet_lite,
  inception,
  weights,
)
from pseudovideo.report import run as run_report
from pseudovideo.runs import results, sample_files
from tests.metrics import pixel_network


@pytest.fixture
def run(tiny_run, tmp_path, monkeypatch):
  """A run whose folder may be written to, scored over a few pixels."""
  workdir = tmp_path / "run"
  shutil.copytree(tiny_run, workdir)
  monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "weights"))
  monkeypatch.setattr(
    classifier,
    "get_feature_network",
    lambda image_set, *, binarize: pixel_network.make("digitscls"),
  )
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return runs.restore(workdir)


def changed(run, **fields):
  evaluation = dataclasses.replace(run.config.evaluate, **fields)
  config = dataclasses.replace(run.config, evaluate=evaluation)
  return dataclasses.replace(run, config=config)


def few(run, **numbers):
  """The run, whose data have so few images."""
  cut = {
    f"{split}_{what}": getattr(run.image_set, f"{split}_{what}")[:num]
    for split, num in numbers.items()
    for what in ("images", "labels")
  }
  return run.on(dataclasses.replace(run.image_set, **cut))


def folder_at(name):
  def make(run):
    (run.workdir / name).mkdir()
    return run

  return make


EARLY = {
  "results": folder_at(evaluate.RESULTS_FILE),
  "samples": folder_at(sample_files.NAME),
  "one held-out image": lambda run: few(run, test=1),
  "weights": lambda run: changed(run, inception="always"),
  "extrapolation": lambda run: changed(run, metrics="FD,FD-inf"),
  "neighbours": lambda run: few(changed(run, metrics="PR"), test=3),
  "neighbours of training images": lambda run: few(
    changed(run, metrics="PR"), train=3
  ),
}


@pytest.mark.parametrize("change", EARLY.values(), ids=EARLY.keys())
def test_nothing_is_drawn_for_nothing(run, monkeypatch, change):
  monkeypatch.setattr(evaluate, "draw", None)
  with pytest.raises(errors.UserError):
    evaluate.evaluate(change(run), num_samples=20)


@pytest.mark.parametrize("use", [evaluate.sample, evaluate.evaluate])
def test_a_disk_without_room_is_found_first(run, monkeypatch, use):
  usage = shutil.disk_usage(run.workdir)._replace(free=20 * 64 - 1)
  monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
  monkeypatch.setattr(evaluate, "draw", None)
  with pytest.raises(errors.UserError, match="1,280 bytes"):
    use(run, num_samples=20)


@pytest.mark.parametrize("shape", [(4, 9, 8, 1), (4, 8, 8, 3), (1, 8, 8, 1)])
def test_samples_of_another_shape_are_refused_first(
  run, tmp_path, monkeypatch, shape
):
  monkeypatch.setattr(evaluate, "networks_of", None)
  path = tmp_path / "samples.npz"
  np.savez(path, images=np.zeros(shape, np.uint8))
  with pytest.raises(errors.UserError):
    evaluate.evaluate(run, samples=path)


def test_a_file_below_a_file_cannot_be_written(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(errors.UserError, match="cannot be written"):
    writable.check(tmp_path / "file" / "results.json")
  writable.check(tmp_path / "new" / "results.json")
  assert not list((tmp_path / "new").iterdir())


PICTURES = [run_report.FILE, "samples.png", "generated_videos.png"]


@pytest.mark.slow("samples and scores")
@pytest.mark.parametrize("name", PICTURES)
def test_what_can_be_done_without_is_a_warning(run, caplog, name):
  folder_at(name)(run)
  said = evaluate.sample(run, num_samples=4)
  assert (".png" in said) == (name == run_report.FILE)
  evaluate.evaluate(run, num_samples=4)
  results.read(run.workdir / evaluate.RESULTS_FILE)
  warned = [r for r in caplog.records if name in r.getMessage()]
  assert len(warned) == 1


def test_few_samples_are_said_beside_the_number(run, capsys):
  few, enough = (
    evaluate.evaluate(run, num_samples=num)["metrics"]["generated"]
    for num in (pixel_network.DIM, pixel_network.DIM + 1)
  )
  warning = few["FD-digitscls"]["warning"]
  assert [name for name in few if "warning" in few[name]] == ["FD-digitscls"]
  assert not any("warning" in record for record in enough.values())
  assert capsys.readouterr().out.count(warning) == 1
  page = (run.workdir / run_report.FILE).read_text()
  assert warning not in page
  evaluate.evaluate(run, num_samples=pixel_network.DIM)
  assert warning in (run.workdir / run_report.FILE).read_text()


def test_what_has_no_network_is_named(run, capsys, monkeypatch):
  monkeypatch.setattr(weights, "find", lambda published: None)
  unlabelled = dataclasses.replace(
    run.image_set, train_labels=None, test_labels=None, num_classes=None
  )
  blind = changed(run.on(unlabelled), efflite0="auto")
  evaluate.evaluate(blind, num_samples=4)
  left_out = results.read(run.workdir / evaluate.RESULTS_FILE)["left_out"]
  kinds = ("FD", "KID", "IS")
  assert set(left_out) == {f"{kind}-efflite0" for kind in kinds}
  said = capsys.readouterr().out
  page = (run.workdir / run_report.FILE).read_text()
  for name, why in left_out.items():
    assert name in said and why in said and name in page


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize("word", ["auto", "never"])
def test_every_metric_is_scored_or_left_out(
  run, monkeypatch, labels, channels, found, word
):
  monkeypatch.setattr(
    weights, "find", lambda file: file.names if found else None
  )
  for name, module in (
    ("inception", inception),
    ("efflite0", efficientnet_lite),
  ):
    network = pixel_network.make(name)
    monkeypatch.setattr(module, "load", lambda network=network: network)
  images = dataclasses.replace(
    run.image_set,
    train_images=run.image_set.train_images.repeat(channels, -1),
    fingerprint="4567",
    train_labels=run.image_set.train_labels if labels else None,
  )
  use = feature_networks.Use(efflite0=word, inception=word)
  networks = feature_networks.networks_for(images, use=use)
  scored = {
    set_metrics.named(kind, network)
    for network in networks
    for kind in set_metrics.DEFAULT
  }
  kinds = (*set_metrics.DEFAULT, "spectrum", "SWD")
  left_out = set(feature_networks.left_out(images, kinds, use))
  assert not scored & left_out
  wanted = set()
  if labels and channels == 1:
    wanted |= {f"{kind}-digitscls" for kind in set_metrics.DEFAULT}
  if word == "auto":
    wanted |= {f"{kind}-efflite0" for kind in set_metrics.DEFAULT}
  if word == "auto" and channels == 3:
    wanted |= {"FID", "KID", "IS"}
  assert scored | left_out == wanted


def test_results_of_before_are_read_and_wrong_reasons_are_not(run):
  record = evaluate.evaluate(run, num_samples=4)
  path = run.workdir / evaluate.RESULTS_FILE
  del record["left_out"]
  results.write(path, record)
  assert "left_out" not in results.read(path)
  for wrong in (3, ["FID"], {"FID": None}):
    with pytest.raises(errors.UserError, match="left_out"):
      results.write(path, {**record, "left_out": wrong})

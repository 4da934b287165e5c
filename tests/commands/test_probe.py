"""python -m pseudovideo.probe: from configs to a ranking."""

import json
import pathlib

import numpy as np
import pytest

from pseudovideo import data
from pseudovideo.commands import probe as command
from pseudovideo.probe import report, videos
from pseudovideo.terminal import command_line

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
VIDEO = f"--config={CONFIGS / 'video_diffusion.py'}:augmentation="


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
  """Folder of a probe of first- and high-order noise on digits."""
  out = tmp_path_factory.mktemp("probe")
  argv = [VIDEO + "first_order", VIDEO + "high_order", f"--out={out}"]
  argv += ["--videos=4000", "--window=3", "--steps=2", "--networks=1"]
  assert command.main(argv) == 0
  return out


@pytest.fixture(scope="module")
def record(probed):
  return json.loads((probed / "probe.json").read_text())


def test_only_high_order_frames_gain_beyond_the_previous_one(record):
  first, high = record["augmentations"]
  cost = 9 / first["places"]
  for one in first["predictions"]:
    value, error = one["linear"]["saved"]
    if one["given"] > 1:
      assert abs(value) < 4 * error + 3 * cost
  for one in high["predictions"]:
    value, error = one["linear"]["saved"]
    if one["given"] > 1:
      assert value > 2.5 * error
  assert abs(first["worth"]["linear"]["mean"][0]) < 1e-3
  assert high["worth"]["linear"]["mean"][0] > 0.05


def test_worth_is_that_of_the_predictions(record):
  for one in record["augmentations"]:
    for kind in ("linear", "network"):
      shares = [
        p[kind]["saved"][0]
        for p in one["predictions"]
        if p["given"] == p["frame"] - 1 > 1
      ]
      worth = one["worth"][kind]
      assert worth["mean"][0] == pytest.approx(np.mean(shares), rel=1e-9)
      assert worth["last"][0] == shares[-1]


def test_the_record_says_where_it_comes_from(record):
  assert record["data"] == "digits"
  assert record["settings"]["num"] == 4000
  assert record["provenance"]["packages"]["numpy"] == np.__version__
  first, high = record["augmentations"]
  assert (first["label"], first["frames"]) == ("first_order, 4 frames", 4)
  assert high["section"]["name"] == "high_order"
  assert first["places"] == 4000 * 36
  assert first["images"] == 360


def test_the_page_shows_ranking_and_charts(probed, record):
  page = (probed / "probe.html").read_text()
  assert page.count("<svg") == 4
  labels = [r["label"] for r in report.ranked(record["augmentations"])]
  assert labels == ["high_order, 4 frames", "first_order, 4 frames"]
  assert page.index(labels[0]) < page.index(labels[1])
  high = record["augmentations"][1]
  assert report.percent(high["worth"]["linear"]["mean"]) in page


def test_shares_have_as_many_digits_as_their_error():
  assert report.percent((0.1234, 0.002)) == "12.3 ± 0.2%"
  assert report.percent((0.00123, 0.0001)) == "0.12 ± 0.01%"
  assert report.percent((-0.000001, 0.00001)) == "0.000 ± 0.001%"


@pytest.mark.parametrize(
  ("spec", "label", "frames"),
  [
    ("video_diffusion.py:augmentation=blur,frames=8", "blur, 8 frames", 8),
    ("tokenizer.py:frames=8", "blur, 8 frames", 8),
    ("hvae.py:encoder=heat,preset=tiny", "heat_hvae, ", None),
  ],
)
def test_any_config_with_pseudo_videos_is_taken(spec, label, frames):
  digits = data.load("digits")
  config = command_line.load_config(f"{CONFIGS / spec}")
  source = videos.source(config, digits)
  assert source.label.startswith(label)
  made = videos.make(source.task, digits, num=5, seed=0)
  assert made.train.shape[1] == (frames or source.task.levels + 1)
  assert (
    made.train.shape == made.test.shape == (5, made.train.shape[1], 8, 8, 1)
  )
  assert np.abs(made.train - made.test).max() > 0.1


def test_images_come_again_with_other_noise():
  digits = data.load("digits")
  config = command_line.load_config(f"{CONFIGS / 'video_diffusion.py'}")
  source = videos.source(config, digits)
  made = videos.make(source.task, digits, num=365, seed=0)
  np.testing.assert_array_equal(made.test[:5, -1], made.test[360:, -1])
  assert np.abs(made.test[:5, 0] - made.test[360:, 0]).min() > 0
  assert list(made.test_images[[0, 359, 360, 364]]) == [0, 359, 0, 4]


def test_a_change_is_of_all_configs():
  argv = [VIDEO + "first_order", "--config", VIDEO[9:] + "high_order"]
  values, configs = command.parse(
    [*argv, "--config.augmentation.beta_max=0.1", "--steps=7"]
  )
  sections = [config.raw["augmentation"] for config in configs]
  assert [s["name"] for s in sections] == ["first_order", "high_order"]
  assert {s["beta_max"] for s in sections} == {0.1}
  assert values.steps == 7


def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path, capsys):
  (tmp_path / "file").touch()
  out = tmp_path / "file" / "probe"
  assert command.main([VIDEO + "blur", f"--out={out}"]) == 2
  assert str(out) in capsys.readouterr().err


@pytest.mark.parametrize(
  ("argv", "said"),
  [
    ([], "Say which pseudo videos"),
    ([VIDEO + "none"], "There is no config argument augmentation"),
    ([VIDEO + "blur", "--window=4"], "odd number of pixels"),
    ([VIDEO + "blur", "--videos=1"], "--videos must be at least 2"),
    ([VIDEO + "blur", "--speed=1"], "no flag named '--speed'"),
    ([VIDEO + "blur", "--config.augmentation.x=1"], "no field of augmentation"),
    ([VIDEO + "blur,frames=2"], "3 frames or more; got 2"),
    (
      [VIDEO + "blur", VIDEO + "blur,dataset=mnist"],
      "one data set; got digits",
    ),
    (
      [
        f"--config={CONFIGS / 'video_vae.py'}:dataset=digits,frames=1",
        "--config.data.name=videos:clips?size=32&frames=9",
        "--config.augmentation.frames=9",
      ],
      "holds clips of videos",
    ),
    (
      [f"--config={CONFIGS / 'video_diffusion.py'}:frames=1"],
      "got one of the task 'image_diffusion'",
    ),
    (
      [f"--config={CONFIGS / 'token_prior.py'}:dataset=digits"],
      "got one of the task 'next_token'",
    ),
  ],
)
def test_mistakes_are_one_sentence(argv, said, capsys):
  assert command.main(argv) == 2
  message = capsys.readouterr().err
  assert said in message
  assert message.startswith("Error: ")
  assert message.count("\n") == 1

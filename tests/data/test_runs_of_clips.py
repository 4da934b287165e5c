"""A folder of videos from the command line: trained on, and evaluated."""

import pathlib

import numpy as np
import pytest
import skimage.metrics

from pseudovideo import data, main
from pseudovideo.evaluation import evaluate
from pseudovideo.files import atomic
from pseudovideo.metrics import motion
from pseudovideo.pretrained import weights
from pseudovideo.runs import results, sample_files
from tests.data import small_videos
from tests.metrics import moving

ROOT = pathlib.Path(__file__).parents[2]
SIDE = 16
# Of the held-out videos; pixels per frame.
SLOW, FAST = (0, 0), (0, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  """Six videos to train on and two held out, of 10 frames: two clips each."""
  root = tmp_path_factory.mktemp("videos")
  for i in range(6):
    frames = moving.pan((0.5, 0.1 * i), num=10)[:, :SIDE, :20]
    small_videos.write_folder(root / "train" / f"{i}", frames)
  for name, velocity in (("slow", SLOW), ("fast", FAST)):
    frames = moving.pan(velocity, num=10)[:, :SIDE, :SIDE]
    small_videos.write_folder(root / "test" / name, frames)
  return root


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
  """No weights, and nothing kept but compiled programs."""
  home, usual = tmp_path_factory.mktemp("cache"), atomic.cache_dir
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv(weights.VARIABLE, str(tmp_path_factory.mktemp("weights")))
    patch.setattr(
      atomic,
      "cache_dir",
      lambda kind: usual(kind) if kind == "jax" else home / kind,
    )
    yield


@pytest.fixture(scope="module")
def run(folder, environment, tmp_path_factory):
  """Its folder, after training and evaluation."""
  workdir = tmp_path_factory.mktemp("runs") / "run"
  options = f"dataset=videos:{folder}?size={SIDE},frames=5,network=causal"
  argv = [
    f"--workdir={workdir}",
    f"--config={ROOT}/configs/video_vae.py:{options},preset=tiny",
    "--config.model.multipliers=(1,2)",
    "--config.model.temporal=(True,)",
    "--config.model.attention=()",
    "--config.train.eval_every=0",
    "--config.train.steps=3",
  ]
  assert main.main(["--mode=train", *argv]) == 0
  assert main.main(["--mode=evaluate", f"--workdir={workdir}"]) == 0
  return workdir


@pytest.fixture(scope="module")
def videos(run):
  return results.read(run / evaluate.RESULTS_FILE)["reconstruction"]["videos"]


@pytest.mark.slow("trains on clips and scores them")
def test_held_out_clips_are_scored(run, folder, videos, capsys):
  record = results.read(run / evaluate.RESULTS_FILE)
  held_out = data.load(f"videos:{folder}?size={SIDE}&frames=5").test_images
  assert len(held_out) == videos["num_videos"] == 4
  drawn = sample_files.load(run / sample_files.NAME)
  psnr = [
    skimage.metrics.peak_signal_noise_ratio(x, y, data_range=255)
    for x, y in zip(held_out[:, -1], drawn.images, strict=True)
  ]
  found = record["reconstruction"]["metrics"]["PSNR"]["value"]
  assert found == pytest.approx(np.mean(psnr))
  assert videos["psnr_by_frame"][-1] == pytest.approx(found, abs=0.05)
  whole = videos["metrics"]["PSNR"]["value"]
  assert np.mean(videos["psnr_by_frame"]) == pytest.approx(whole)
  assert len(videos["psnr_by_frame"]) == 5
  assert len(videos["ssim_by_position"]) == 2
  assert set(record["metrics"]["generated"]) == {"nearest-train"}
  bins = videos["by_motion"]["bins"]
  assert [row["num_clips"] for row in bins] == [2, 0, 2]
  assert [row["below"] for row in bins] == [SIDE / 128, SIDE / 32, None]
  assert videos["by_motion"]["definition"] == motion.DEFINITION
  assert all(bins[i][k] is not None for i in (0, 2) for k in ("PSNR", "SSIM"))
  assert set(videos["missing"]) == {"LPIPS-alex", "FVD"}
  samples = run / sample_files.NAME
  argv = ["--mode=evaluate", f"--workdir={run}", f"--samples={samples}"]
  assert main.main([*argv]) == 0
  said = capsys.readouterr().out
  assert "without LPIPS-alex, FVD, as results.json says" in said
  assert "2 clips of motion 0 to 0.125 with PSNR" in said
  assert "2 clips of motion 0.5 to inf with PSNR" in said


def test_other_tasks_refuse_the_folder(folder, environment, tmp_path, capsys):
  argv = [
    f"--workdir={tmp_path / 'run'}",
    f"--config={ROOT}/configs/hvae.py:preset=tiny",
    f"--config.data.name=videos:{folder}?size={SIDE}&frames=5",
  ]
  assert main.main(["--mode=train", *argv]) == 2
  said = capsys.readouterr().err
  assert "and the task heat_hvae learns from images; choose other" in said

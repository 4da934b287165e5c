"""Rows of the video VAEs: what they need and differ in, and their columns."""

import dataclasses
import json

import pytest

from configs import video_vae
from experiments.reporting import report
from experiments.rows import base, deviations
from experiments.rows import video_vae as video_vae_rows
from experiments.running import work
from experiments.studies import ivvae_ablation, latent_diffusion
from pseudovideo import data, runs
from pseudovideo.config import parsing
from pseudovideo.evaluation import evaluate, reconstruction
from pseudovideo.models.video_vae import initialisation
from pseudovideo.training import loop

PRESETS = ("tiny", "small", "paper")


def job(row, preset="tiny", dataset="digits"):
  return base.Job(row, dataset, preset, 0)


def task(row, preset, dataset="cifar10"):
  config = parsing.parse(job(row, preset, dataset).config)
  return config.make_task((32, 32, 3))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_video_vae_has_the_image_vae_that_it_can_begin_as(preset):
  for row in video_vae_rows.INFLATED:
    start = task(row.start, preset)
    fitting = initialisation.image_vae(task(row, preset).model)
    # Over one frame there is nothing to be causal in.
    assert start.model == dataclasses.replace(
      fitting, convolution=start.model.convolution
    )
    assert start.augmentation.frames == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_no_two_rows_are_the_same(preset):
  tasks = [task(row, preset) for row in video_vae_rows.ABLATION]
  assert len({repr(one) for one in tasks}) == len(tasks) - 1
  # All but these, which differ in how they begin.
  assert task(video_vae_rows.SCRATCH, preset) == task(
    video_vae_rows.IV_VAE[8], preset
  )
  assert video_vae_rows.SCRATCH.start is None


def test_the_ablation_goes_from_causal_to_iv_vae_part_by_part():
  """The order is that of IV-VAE's Table 3: GCConv, KTC, then TMPE."""

  def changed(before, after):
    one, other = (dataclasses.asdict(task(r, "paper")) for r in (before, after))
    assert {k: v for k, v in one.items() if k != "model"} == {
      k: v for k, v in other.items() if k != "model"
    }
    model, others = one["model"], other["model"]
    return {name for name in model if model[name] != others[name]}

  causal, iv_vae = video_vae_rows.CAUSAL[8], video_vae_rows.IV_VAE[8]
  assert changed(causal, video_vae_rows.GROUP_CAUSAL) == {"convolution"}
  assert changed(video_vae_rows.GROUP_CAUSAL, video_vae_rows.KEY_MOTION) == {
    "branches"
  }
  assert changed(video_vae_rows.KEY_MOTION, iv_vae) == {"attention", "rates"}
  assert changed(iv_vae, video_vae_rows.MOTION_MOTION) == {"branches"}
  assert changed(iv_vae, video_vae_rows.IV_VAE_WIDER) == {"base"}
  assert task(video_vae_rows.IV_VAE_WIDER, "paper").model.base == 96
  for z in (4, 16):
    assert changed(iv_vae, video_vae_rows.IV_VAE[z]) == {"latent_channels"}
    assert task(video_vae_rows.CAUSAL[z], "paper").model.latent_channels == z


def test_the_paper_has_17_frames_and_long_trainings():
  config = job(video_vae_rows.IV_VAE[8], "paper", "cifar10").config.raw
  image = job(video_vae_rows.IMAGE[4], "paper", "cifar10").config.raw
  assert config["augmentation"]["frames"] == 17
  assert config["train"]["steps"] == 300_000
  assert (image["train"]["steps"], image["task"]["adversarial"]) == (
    200_000,
    False,
  )


def test_what_is_needed_is_run_first():
  plan = base.with_sources(
    [
      job(video_vae_rows.LATENT_VIDEOS),
      job(video_vae_rows.SCRATCH),
      job(video_vae_rows.IV_VAE[8]),
    ]
  )
  assert [one.row for one in plan] == [
    video_vae_rows.IMAGE[4],
    video_vae_rows.IV_VAE[8],
    video_vae_rows.LATENT_VIDEOS,
    video_vae_rows.SCRATCH,
  ]


@pytest.mark.parametrize(
  "row, section, field",
  [
    (video_vae_rows.IV_VAE[8], "task", "start"),
    (video_vae_rows.LATENT_VIDEOS, "autoencoder", "workdir"),
  ],
)
def test_a_training_is_told_where_its_beginning_lies(
  row, section, field, tmp_path, monkeypatch
):
  seen = []

  def stop(config, workdir, **_):
    seen.append((config, workdir))
    return loop.Outcome(1, 15)

  monkeypatch.setattr(work.loop, "train", stop)
  one = job(row)
  with pytest.raises(work.Stopped):
    work.do(one, tmp_path)
  ((config, workdir),) = seen
  assert config.raw[section][field] == str(one.needs.workdir(tmp_path))
  assert workdir == one.workdir(tmp_path)
  assert one.config.raw[section][field] in ("", "random"), "a copy was changed"


def test_latents_of_an_autoencoder_made_otherwise_are_not_taken(
  tmp_path, write_finished
):
  one = job(video_vae_rows.LATENT_VIDEOS)
  record = write_finished(one, tmp_path)
  record["config"]["autoencoder"]["config"] = one.first_stage.config.raw
  work.results.write(one.workdir(tmp_path) / "results.json", record)
  assert work.results_of(one, tmp_path) is not None
  record["config"]["autoencoder"]["config"]["model"]["base"] = 5
  work.results.write(one.workdir(tmp_path) / "results.json", record)
  assert work.results_of(one, tmp_path) is None
  (change,) = deviations.of_results(one, record)
  assert change.startswith("its autoencoder's model.base is ")


def test_columns_of_video_vaes(make_record):
  one = job(video_vae_rows.IV_VAE[8])
  record = make_record(one)
  record["reconstruction"] = {
    "metrics": {"PSNR": {"value": 21.5, "num_samples": 16}},
    "videos": {
      "num_videos": 16,
      "psnr_by_frame": [None, 30.0, 25.5],
      "information_preserved": 0.87654,
      "ssim_by_position": [0.5, 0.25, 0.75, 0.7504],
      "ssim_spread": 0.5,
    },
  }
  header, (line, _) = report.score_table(
    ivvae_ablation.TABLE,
    [one.row],
    "digits",
    [report.Scored(one, record)],
  )
  cells = dict(zip(header, line, strict=True))
  assert cells["paper, Kinetics-600 PSNR"] == "36.66"
  assert cells["PSNR"] == "21.50"
  assert cells["PSNR of frames"] == "27.75"
  assert cells["preserved"] == "0.8765"
  assert cells["SSIM by position"] == "0.500 0.250 0.750 0.750"
  assert cells["SSIM spread"] == "0.5000"


def test_other_tables_have_no_such_columns(make_record):
  one = job(video_vae_rows.LATENT_IMAGES)
  header, _ = report.score_table(
    latent_diffusion.TABLE,
    [one.row],
    "digits",
    [report.Scored(one, make_record(one))],
  )
  assert not {"preserved", "SSIM by position", "PSNR of frames"} & set(header)


@pytest.fixture(name="inflated")
def _inflated(tmp_path, tiny_image_vae_run, monkeypatch, write_finished):
  """The job of a row that begins as the tiny image VAE, which is done."""
  half = {
    "model.multipliers": (1, 2),
    "model.attention": ("middle",),
    "model.rates": (),
  }
  image = base.Row(
    "image",
    "image",
    video_vae,
    {"network": "image", "frames": 1},
    overrides=half | {"model.temporal": (False,)},
  )
  video = base.Row(
    "video",
    "video",
    video_vae,
    {"network": "key_motion", "frames": 5},
    overrides=half | {"model.temporal": (True,)},
    start=image,
  )
  start = job(image)
  start.folder(tmp_path).mkdir()
  start.workdir(tmp_path).symlink_to(tiny_image_vae_run)
  monkeypatch.setattr(
    ivvae_ablation.work, "results_of", lambda one, root: {"step": 6}
  )
  table = dataclasses.replace(ivvae_ablation.TABLE, rows=(video, image))
  monkeypatch.setattr(ivvae_ablation, "TABLE", table)
  return job(video)


def test_it_begins_as_good_as_its_image_vae(
  inflated, tmp_path, tiny_image_vae_run, capsys
):
  argv = [
    "initial", "--preset=tiny", f"--root={tmp_path}",
    f"--publish={tmp_path / 'results'}",
  ]  # fmt: skip
  commands = {
    "initial": ivvae_ablation.commands.Command(
      (*ivvae_ablation.commands.WHICH_RUNS, "data_dir", "publish"),
      ivvae_ablation.initial,
    )
  }
  assert ivvae_ablation.commands.main(commands, "", argv) == 0
  path = tmp_path / "results/video_vae/digits-tiny/ivvae_initial.json"
  (found,) = json.loads(path.read_text())["videos"].values()
  run = runs.restore(tiny_image_vae_run)
  # What an evaluation of the image VAE scores.
  scored = evaluate.originals(run, run.config.evaluate.num_samples)
  images = data.spread(scored, reconstruction.VIDEOS)
  (alone,) = reconstruction.of_videos(run, images)["psnr_by_frame"]
  assert found["psnr_by_frame"][-1] == pytest.approx(alone, abs=1e-3)
  lines = capsys.readouterr().out.splitlines()
  header = "preserved PSNR 0 PSNR 1 PSNR 2 PSNR 3 PSNR 4"
  assert " ".join(lines[0].split()) == header
  assert lines[1].split()[2] == f"{alone:.2f}"


def test_initial_says_which_image_vaes_are_missing(
  inflated, tmp_path, capsys, monkeypatch
):
  monkeypatch.setattr(ivvae_ablation.work, "results_of", lambda one, root: None)
  values = ivvae_ablation.commands.define_flags(
    (*ivvae_ablation.commands.WHICH_RUNS, "data_dir", "publish")
  )
  values(["", "--preset=tiny", f"--root={tmp_path}"])
  assert ivvae_ablation.initial(values) == 1
  assert capsys.readouterr().out == (
    "Left out, as these image VAEs are missing: image-seed0.\n"
  )

"""Runs come back from their checkpoints, and stay what they were."""

import shutil

import jax
import numpy as np
import pytest

from configs import hvae, video_diffusion
from pseudovideo import errors, main, runs
from pseudovideo.config import comparing, parsing
from pseudovideo.runs import results
from pseudovideo.samplers import settings


def tiny():
  return parsing.complete(hvae.get_config("preset=tiny"))


def test_the_config_may_be_given_again(tiny_run):
  assert runs.saved_config(tiny_run).raw == comparing.to_json(tiny())
  given = tiny()
  given["evaluate"]["num_samples"] = 5
  run = runs.restore(tiny_run, config=given)
  assert run.config.evaluate.num_samples == 5
  assert run.step == 8


def test_another_model_is_refused(tiny_run):
  given = tiny()
  given["model"]["channels"] = 16
  with pytest.raises(errors.UserError) as caught:
    runs.restore(tiny_run, config=given)
  assert "model.channels is 16, was 8" in str(caught.value)


def test_sampling_takes_the_training_command_with_another_mode(
  tiny_run, tmp_path, capsys
):
  workdir = tmp_path / "run"
  shutil.copytree(tiny_run, workdir)
  code = main.main(
    [
      "--config=configs/hvae.py:dataset=digits,encoder=heat,preset=tiny",
      f"--workdir={workdir}",
      "--mode=sample",
      "--num_samples=3",
    ]
  )
  assert code == 0
  assert "3 samples of step 8" in capsys.readouterr().out


def tiny_video():
  raw = parsing.complete(video_diffusion.get_config("preset=tiny"))
  # As `tiny_video_run` has them.
  raw["process"]["timesteps"] = "loss_second_moment"
  raw["model"] |= dict(multipliers=(1,), attention=())
  return raw


def test_a_trained_diffusion_may_be_sampled_otherwise(tiny_video_run):
  given = tiny_video()
  given["sampler"].update(method="ddim", eta=0.5, respacing="5/3/2")
  given["evaluate"]["num_samples"] = 5
  run = runs.restore(tiny_video_run, config=given)
  assert run.task.sampler == settings.Sampler("ddim", "5/3/2", 0.5, True)
  assert run.task.network_evaluations == 10
  assert run.config.evaluate.num_samples == 5
  # What is saved with the scores is what they were made with.
  assert run.config.raw["sampler"] == given["sampler"]
  trained = runs.restore(tiny_video_run)
  assert trained.task.network_evaluations == 3 * 4
  for a, b in zip(
    jax.tree.leaves(trained.params), jax.tree.leaves(run.params), strict=True
  ):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
  ("section", "fields", "said"),
  [
    ("model", dict(channels=16), "model.channels is 16, was 8"),
    ("process", dict(steps=50), "process.steps is 50, was 40"),
    (
      "process",
      dict(timesteps="uniform"),
      "process.timesteps is 'uniform', was 'loss_second_moment'",
    ),
    ("task", dict(context=1), "task.context is 1, was 2"),
    ("augmentation", dict(beta_max=0.1), "augmentation.beta_max is 0.1, was"),
    ("sampler", dict(respacing="50"), "for 50 steps, but the process has 40"),
    ("sampler", dict(method="euler"), "no sampler.method named 'euler'"),
  ],
)
def test_a_trained_diffusion_stays_what_it_is(
  tiny_video_run, section, fields, said
):
  given = tiny_video()
  given[section].update(fields)
  with pytest.raises(errors.UserError) as caught:
    runs.restore(tiny_video_run, config=given)
  assert said in str(caught.value) and str(caught.value).endswith(".")


def test_an_image_diffusion_is_no_video_diffusion(tiny_video_run):
  given = parsing.complete(video_diffusion.get_config("preset=tiny,frames=1"))
  with pytest.raises(errors.UserError) as caught:
    runs.restore(tiny_video_run, config=given)
  said = str(caught.value)
  assert "task.name is 'image_diffusion', was 'video_diffusion'" in said


def test_a_video_diffusion_is_evaluated_like_any_run(
  tiny_video_run, tmp_path, capsys
):
  workdir = tmp_path / "run"
  shutil.copytree(tiny_video_run, workdir)
  assert main.main([f"--workdir={workdir}", "--mode=evaluate"]) == 0
  assert "FD-digitscls" in capsys.readouterr().out
  record = results.read(workdir / "results.json")
  assert record["network_evaluations"] == 3 * 4 and record["step"] == 6
  assert record["config"]["sampler"]["respacing"] == "4"
  with np.load(workdir / "samples.npz") as file:
    assert file["images"].shape == (16, 8, 8, 1)
    assert file["videos"].shape == (4, 4, 8, 8, 1)
    np.testing.assert_array_equal(file["images"][:4], file["videos"][:, -1])
  assert "video diffusion" in (workdir / "report.html").read_text()

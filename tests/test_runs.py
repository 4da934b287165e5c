import shutil

import pytest

from configs import hvae
from pseudovideo import configuration, errors, main, runs


def tiny():
  return configuration.complete(hvae.get_config("preset=tiny"))


def test_the_config_may_be_given_again(tiny_run):
  assert runs.saved_config(tiny_run) == configuration.to_json(tiny())
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

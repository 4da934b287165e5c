"""From a row to its config and its folder."""

import pathlib

import pytest

from configs import hvae
from experiments.rows import base
from pseudovideo import errors

HEAT = base.Row("heat", "fixed", hvae, {"encoder": "heat"})
LEARNED = base.Row("learned", "free", hvae, {"encoder": "learned"})


def job(row, seed=0, preset="tiny"):
  return base.Job(row, "digits", preset, seed)


def test_a_config_has_the_overrides_and_the_seed():
  row = base.Row(
    "r",
    "a row",
    hvae,
    {"encoder": "learned"},
    overrides={"train.steps": base.scaled(2.3), "model.channels": 16},
    by_preset={"tiny": {"model.channels": 24}},
  )
  plain = job(LEARNED).config.raw
  config = job(row, 5).config.raw
  assert config["train"]["steps"] == 18 and plain["train"]["steps"] == 8
  assert config["model"]["channels"] == 24
  assert config["train"]["seed"] == config["evaluate"]["seed"] == 5
  assert config["encoder"] == plain["encoder"]
  small = job(row, 5, "small").config.raw
  assert small["model"]["channels"] == 16
  wrong = base.Row("w", "w", hvae, overrides={"model.chanels": 16})
  with pytest.raises(errors.UserError, match="did you mean 'channels'"):
    _ = job(wrong).config


def test_weights_of_another_row_cannot_be_made_otherwise():
  with pytest.raises(ValueError, match=r"cannot set train\.steps"):
    base.Row(
      "r",
      "r",
      hvae,
      by_preset={"small": {"train.steps": 3}},
      weights_from={"small": HEAT},
    )
  # In a preset where it is trained itself, it may.
  base.Row(
    "r",
    "r",
    hvae,
    by_preset={"paper": {"train.steps": 3}},
    weights_from={"small": HEAT},
  )


def test_a_path_makes_one_folder():
  made = base.Job(HEAT, "folder:/a/b c?size=32", "tiny", 1)
  assert made.workdir("runs") == pathlib.Path(
    "runs", "folder-a-b-c-size-32-tiny", "heat-seed1"
  )

"""Which tokenizer or video VAE a config names; what does not fit is said."""

import dataclasses
import pathlib
import shutil

import jax
import numpy as np
import pytest

from configs import latent_diffusion, token_prior
from pseudovideo import data, errors, main, runs
from pseudovideo.config import comparing, parsing
from pseudovideo.first_stages import (
  given,
  latents,
  look_up,
  token_files,
  tokens,
)
from pseudovideo.training import loop
from tests.tasks import small_vaes

SHAPE = (8, 8, 1)
CONFIG = f"--config={pathlib.Path(token_prior.__file__)}:preset=tiny"


def config(workdir="", order="next"):
  raw = parsing.complete(token_prior.get_config(f"order={order},preset=tiny"))
  raw["tokenizer"]["workdir"] = str(workdir)
  return raw


@pytest.fixture(scope="module")
def found(tiny_tokenizer_run):
  """A config whose tokenizer was looked up."""
  return looked_up(config(tiny_tokenizer_run))


@pytest.fixture
def changed(tiny_tokenizer_run, tmp_path):
  """Folder of the tokenizer, one number of its newest weights changed."""
  workdir = shutil.copytree(tiny_tokenizer_run, tmp_path / "changed")
  newest = max((workdir / "checkpoints").iterdir(), key=lambda p: int(p.name))
  shutil.rmtree(newest)
  return workdir


def looked_up(raw):
  """The raw config with what is known of its first stage."""
  return look_up.look_up(parsing.parse(raw)).raw


def sentence(call, *args, **kwargs):
  """What is said of a mistake: one sentence."""
  with pytest.raises(errors.UserError) as caught:
    call(*args, **kwargs)
  said = str(caught.value)
  assert said.endswith(".") and "\n" not in said
  return said


def make_task(raw):
  return parsing.parse(raw).make_task(SHAPE)


def test_the_config_and_hash_of_a_tokenizer_are_filled_in(
  found, tiny_tokenizer_run
):
  run = runs.restore(tiny_tokenizer_run)
  asked = config(tiny_tokenizer_run)
  assert found["tokenizer"] == {
    "workdir": str(tiny_tokenizer_run),
    "tokens": "",
    "hash": tokens.tokenizer_hash(run),
    "config": run.config.raw,
  }
  assert asked == config(tiny_tokenizer_run), "the argument is left alone"
  rest = {name: found[name] for name in asked if name != "tokenizer"}
  assert rest | {"tokenizer": asked["tokenizer"]} == asked
  assert looked_up(found) == found
  task = make_task(found)
  assert task.coder == run.task
  assert task.network.grid == (4, 4, 4) and task.network.codes == 16
  assert task.network.code_width == 16 and task.num_tokens == 64


def test_configs_without_the_section_stay_as_they_are(tiny_run):
  raw = runs.saved_config(tiny_run).raw
  assert looked_up(raw) == raw


# What is refused.


def test_no_tokenizer_is_named(tmp_path, capsys):
  said = sentence(looked_up, config())
  assert "--config.tokenizer.workdir=DIR, a run of configs/tok" in said
  assert main.main([CONFIG, f"--workdir={tmp_path}/run"]) == 2
  assert capsys.readouterr().err == f"Error: {said}\n"
  assert not (tmp_path / "run").exists()


def test_there_is_no_tokenizer(tmp_path):
  said = sentence(looked_up, config(tmp_path / "none"))
  assert f"There is no checkpoint in {tmp_path / 'none'}" in said


def test_a_run_that_is_no_tokenizer(tiny_run):
  assert sentence(looked_up, config(tiny_run)) == (
    "Only runs of the task video_tokenizer have tokens; this is a run of "
    "heat_hvae."
  )


def test_other_mistakes_come_before_the_tokenizer(monkeypatch):
  monkeypatch.setattr(runs, "saved_config", None)
  raw = config("anywhere")
  raw["model"]["widht"] = 3
  assert "did you mean 'width'" in sentence(looked_up, raw)
  raw = config("anywhere") | {"tokenizer": "anywhere"}
  assert "tokenizer must be a section" in sentence(looked_up, raw)
  raw = config("anywhere")
  raw["tokenizer"]["workdir"] = 3
  assert "tokenizer.workdir must be a string" in sentence(looked_up, raw)


def test_no_task_without_look_up():
  said = sentence(make_task, config("anywhere"))
  assert "pseudovideo.first_stages.look_up" in said


@pytest.mark.parametrize(
  ("order", "field"),
  [
    ("next", "grid"),
    ("next", "codes"),
    ("next", "code_width"),
    ("masked", "grid"),
    ("masked", "codes"),
  ],
)
def test_what_follows_from_the_tokenizer_cannot_be_set(
  order, field, tmp_path, capsys
):
  raw = config("anywhere", order)
  raw["model"][field] = 4
  expected = (
    f"model.{field} follows from the rest of the config and cannot be set; "
    "leave it out."
  )
  assert sentence(parsing.parse, raw) == expected
  assert sentence(parsing.complete, raw) == expected
  argument = f"{CONFIG},order={order}"
  argv = [argument, f"--config.model.{field}=4", f"--workdir={tmp_path}"]
  assert main.main(argv) == 2
  assert capsys.readouterr().err == f"Error: {expected}\n"


def test_other_unknown_fields_are_still_unknown(tmp_path, capsys):
  raw = config("anywhere", "masked")
  raw["model"]["code_width"] = 4
  assert "no field of model named 'code_width'" in sentence(parsing.parse, raw)
  argv = [CONFIG, "--config.model.gird=4", f"--workdir={tmp_path}"]
  assert main.main(argv) == 2
  assert "no field of model named 'gird'" in capsys.readouterr().err


def test_data_that_is_binarized_otherwise(found):
  raw = found | {"data": found["data"] | {"binarize": "threshold"}}
  said = sentence(make_task, raw)
  assert "data.binarize is 'threshold', but the tokenizer was" in said
  assert "'none'; set both to the same" in said


def test_images_of_another_size(found):
  said = sentence(parsing.parse(found).make_task, (7, 8, 1))
  assert "patch" in said


def test_a_tokenizer_that_changed_since_is_refused(found, changed, tmp_path):
  """Here its newest checkpoint is gone, and an older one counts."""
  other = found["tokenizer"] | {"workdir": str(changed)}
  task = make_task(found | {"tokenizer": other})
  said = sentence(given.init, task, jax.random.key(0), data.load("digits"))
  assert f"tokenizer in {changed} is no longer the one" in said
  assert "new --workdir" in said


def test_training_does_not_go_on_with_another_tokenizer(
  found, changed, tmp_path
):
  store = loop.checkpoints.Checkpoints(tmp_path / "run" / "checkpoints")
  state = {"ema": {"w": np.zeros(2)}, "extra": {}}
  store.save(2, state, config=found, wait=True)
  store.close()
  said = sentence(loop.train, config(changed), tmp_path / "run")
  old = found["tokenizer"]["hash"]
  assert "holds a run with another config: tokenizer.hash is" in said
  assert f"was {old!r}" in said
  # A config that was not looked up, as for sampling, says nothing of it.
  assert not comparing.differences(found, config("elsewhere"))
  elsewhere = found["tokenizer"] | {"workdir": "elsewhere", "tokens": "there"}
  assert not comparing.differences(found, found | {"tokenizer": elsewhere})


# Folders of tokens.


@pytest.fixture(scope="module")
def folder(tiny_tokenizer_run, tmp_path_factory):
  """Tokens of a few digits."""
  run = runs.restore(tiny_tokenizer_run)
  few = dataclasses.replace(
    run.image_set,
    train_images=run.image_set.train_images[:8],
    train_labels=None,
    test_images=run.image_set.test_images[:4],
    test_labels=None,
  )
  path = tmp_path_factory.mktemp("tokens") / "few"
  assert token_files.write(run.on(few), path)
  return path


def examples(found, folder, image_set, **source):
  section = found["tokenizer"] | {"tokens": str(folder)} | source
  task = make_task(found | {"tokenizer": section})
  return given.examples(task, {}, image_set, batch_size=4)


def test_tokens_of_a_folder_are_taken(found, folder):
  ids = examples(found, folder, data.load("digits"))
  assert ids.name == "ids"
  assert ids.train.shape == (8, 4, 4, 4) and ids.test.shape == (4, 4, 4, 4)


def test_tokens_of_another_tokenizer(found, folder):
  said = sentence(examples, found, folder, data.load("digits"), hash="e" * 64)
  own = found["tokenizer"]["hash"]
  assert f"are of the tokenizer {own[:12]}, not of {'e' * 12};" in said


def test_tokens_of_another_data_set(found, folder):
  other = dataclasses.replace(
    data.load("digits"), name="letters", fingerprint="f" * 64
  )
  said = sentence(examples, found, folder, other)
  assert f"{folder} holds tokens of digits, not of the images of" in said
  assert "data.name, letters; write them with python -m pseudo" in said


def test_a_folder_without_tokens(found, tmp_path):
  said = sentence(examples, found, tmp_path, data.load("digits"))
  assert f"{tmp_path} holds no tokens" in said


# Video VAEs, the first stage of models of latents.


def latent_config(workdir):
  raw = parsing.complete(latent_diffusion.get_config("preset=tiny"))
  raw["autoencoder"]["workdir"] = str(workdir)
  return raw


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
  return small_vaes.save_run(tmp_path_factory.mktemp("vae"), frames=1)


def test_the_config_and_hash_of_a_video_vae_are_filled_in(vae):
  run = runs.restore(vae)
  raw = looked_up(latent_config(vae))
  assert raw["autoencoder"] == {
    "workdir": str(vae),
    "hash": latents.autoencoder_hash(run),
    "config": run.config.raw,
  }
  assert make_task(raw).coder == run.task
  assert looked_up(raw) == raw
  # Neither where it was, nor a config that was not looked up, is a change.
  elsewhere = raw["autoencoder"] | {"workdir": "elsewhere"}
  assert not comparing.differences(raw, raw | {"autoencoder": elsewhere})
  assert not comparing.differences(raw, latent_config("elsewhere"))
  other = raw["autoencoder"] | {"hash": "0" * 64}
  (change,) = comparing.differences(raw, raw | {"autoencoder": other})
  assert change.startswith("autoencoder.hash is '000")


def test_what_is_no_video_vae(vae, tiny_run, tmp_path):
  said = sentence(looked_up, latent_config(""))
  assert said == (
    "Name the run whose latents are to be learned, with "
    "--config.autoencoder.workdir=DIR, a run of configs/video_vae.py."
  )
  assert sentence(looked_up, latent_config(tiny_run)) == (
    "Only runs of the task video_vae or video_tae have latents; this is a run "
    "of heat_hvae."
  )
  assert "Only runs of the task video_tokenizer have tokens" in sentence(
    looked_up, config(vae)
  )
  said = sentence(looked_up, latent_config(tmp_path / "none"))
  assert f"There is no checkpoint in {tmp_path / 'none'}" in said
  assert sentence(make_task, latent_config(vae)).startswith(
    "The config names an autoencoder without its own config, which "
  )


def test_a_video_vae_that_changed_since_is_refused(vae):
  raw = looked_up(latent_config(vae))
  raw["autoencoder"]["hash"] = "0" * 64
  task = make_task(raw)
  said = sentence(given.init, task, jax.random.key(0), data.load("digits"))
  assert f"The autoencoder in {vae} is no longer the one that this" in said

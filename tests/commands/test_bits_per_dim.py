"""The command that reports bits per dimension."""

import contextlib
import io
import shutil

import jax
import numpy as np
import optax
import pytest

from configs import hvae, video_diffusion
from pseudovideo import data, errors, keys, runs
from pseudovideo.commands import bits_per_dim as command
from pseudovideo.config import parsing
from pseudovideo.evaluation import bits_per_dim
from pseudovideo.runs import checkpoints, results
from pseudovideo.training import state


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
  """Folder of a run of the tiny image diffusion at step 0."""
  workdir = tmp_path_factory.mktemp("untrained") / "run"
  raw = parsing.complete(video_diffusion.get_config("frames=1,preset=tiny"))
  task = parsing.parse(raw).make_task((8, 8, 1))
  made = state.create(*task.init(jax.random.key(0), None), optax.identity())
  store = checkpoints.Checkpoints(workdir / checkpoints.FOLDER)
  store.save(0, state.to_dict(made), config=raw, wait=True)
  store.close()
  return workdir


@pytest.fixture(scope="module")
def bits(untrained):
  """Of ten images, eight at a time."""
  return bits_per_dim.compute(runs.restore(untrained), 10)


@pytest.fixture(scope="module")
def printed(untrained, bits, tmp_path_factory):
  """What the command says, and what it writes."""
  workdir = tmp_path_factory.mktemp("bits") / "run"
  shutil.copytree(untrained, workdir)
  with contextlib.redirect_stdout(io.StringIO()) as out:
    assert command.main([f"--workdir={workdir}", "--num_images=10"]) == 0
  text = out.getvalue().splitlines()
  return text, results.read(workdir / bits_per_dim.FILE)


def test_each_image_has_the_bits_of_its_own_key(untrained, bits):
  """In batches of eight and of ten."""
  run = runs.restore(untrained)
  held_out = data.load("digits").test_images
  images = held_out[np.linspace(0, len(held_out) - 1, 10).astype(int)]
  key = keys.named(jax.random.key(0), "bits_per_dim")
  rows = keys.example_keys(key, 10)
  result = jax.jit(run.task.bits_per_dim)(run.params, images, key=rows)
  result = jax.device_get(result)
  np.testing.assert_allclose(bits["bits_per_dim"], result["total"], rtol=1e-4)
  np.testing.assert_allclose(bits["prior"], result["prior"], rtol=1e-4)
  np.testing.assert_allclose(bits["decoder"], result["terms"][:, 0], rtol=1e-4)
  assert (bits["bits_per_dim"] > bits["prior"] + bits["decoder"]).all()


def test_means_and_standard_errors_are_written_with_their_origin(printed, bits):
  text, record = printed
  row = record["metrics"]["held_out"]
  assert set(row) == {"bits_per_dim", "prior", "decoder"}
  for name, values in bits.items():
    metric = row[name]
    error = np.sqrt(np.var(values) * 10 / 9 / 10)
    np.testing.assert_allclose(metric["value"], values.mean(), rtol=1e-6)
    np.testing.assert_allclose(metric["standard_error"], error, rtol=1e-6)
    assert metric["num_samples"] == 10
    line = next(line for line in text if line.startswith(f"{name} "))
    assert f"{values.mean():.4f} +- {error:.4f}" in line
  assert record["step"] == 0 and record["network_evaluations"] == 40
  assert record["config"]["task"] == {"name": "image_diffusion"}
  assert record["data"]["split"] == "test"
  assert record["data"]["fingerprint"] == data.load("digits").fingerprint
  assert "over 10 held-out images at step 0" in text[-1]


def test_a_number_of_images_that_cannot_be(untrained, capsys):
  total = len(data.load("digits").test_images)
  for num in (-1, 1, 10**6):
    argv = [f"--workdir={untrained}", f"--num_images={num}"]
    assert command.main(argv) == 2
    said = capsys.readouterr().err
    assert f"between 2 and {total}" in said
    assert f"got {num}." in said and "Traceback" not in said


@pytest.mark.parametrize(
  ("module", "argument", "words"),
  [
    (hvae, "preset=tiny", "task image_diffusion only; this is a run of heat_h"),
    (video_diffusion, "preset=tiny", "this is a run of video_diffusion."),
  ],
)
def test_other_tasks_have_no_such_bound(module, argument, words):
  config = parsing.parse(module.get_config(argument))
  with pytest.raises(errors.UserError, match=words):
    bits_per_dim.check(config)


def test_black_and_white_images_are_no_8_bit_values():
  config = parsing.parse(video_diffusion.get_config("frames=1"))
  bits_per_dim.check(config)
  with pytest.raises(errors.UserError, match=r"data\.binarize 'bernoulli'"):
    bits_per_dim.check(config.replaced("data", binarize="bernoulli"))


def test_mistakes_on_the_command_line(tiny_run, tmp_path, capsys):
  for argv, words in (
    ([], "Say where the run is, with --workdir=DIR."),
    ([f"--workdir={tmp_path}/none"], "There is no checkpoint in"),
    ([f"--workdir={tiny_run}"], "this is a run of heat_hvae."),
    (["--num_image=3"], "did you mean '--num_images'"),
  ):
    assert command.main(argv) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
  assert not (tiny_run / bits_per_dim.FILE).exists()
  assert command.main(["--help"]) == 0
  assert "--num_images" in capsys.readouterr().out

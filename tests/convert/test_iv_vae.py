"""Converted weights of IV-VAE compute what the published network computes."""

import ast
import functools
import pathlib
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import latent_diffusion, video_vae
from pseudovideo import convert, errors, keys, main, runs
from pseudovideo.commands import convert as command
from pseudovideo.config import parsing
from pseudovideo.first_stages import given, look_up
from pseudovideo.models.video_vae import iv_vae
from pseudovideo.runs import checkpoints
from pseudovideo.tasks import first_stage
from tests.convert import iv_vae_reference as reference
from tests.files import torch_zip

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
# A level that halves sides alone, one that halves time too, and all places of
# attention.
NET = iv_vae.IVVAE(
  base=4, latent_channels=4, image_channels=2, multipliers=(1, 2, 2), blocks=1,
  temporal=(False, True), rates=(1, 3),
)  # fmt: skip
SIDE = 16


@functools.cache
def zeros(net):
  """Parameters that take no memory."""
  side = net.spatial_factor
  clip = jnp.zeros((1, 1, side, side, net.image_channels))
  tree = jax.eval_shape(net.init, jax.random.key(0), clip)["params"]
  return jax.tree.map(lambda p: np.broadcast_to(np.float32(0), p.shape), tree)


def drawn(net):
  """A state dict with nothing zero, activations of size one."""
  rng = np.random.default_rng(0)
  state_dict = {}
  for name, array in convert.to_torch(zeros(net), net).items():
    values = rng.normal(size=array.shape)
    if name.endswith("weight"):
      values /= np.sqrt(np.prod(array.shape[1:]))
    else:
      values = 0.3 * values + name.endswith("gamma")
    state_dict[name] = values.astype(np.float32)
  return state_dict


@pytest.fixture(scope="module")
def weights():
  return drawn(NET)


def largest_error(ours, theirs):
  """The error of one clip with channels last from one with channels first."""
  ours = np.moveaxis(np.asarray(ours), -1, 0)
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


def test_network(weights):
  rng = np.random.default_rng(1)
  video = rng.uniform(-1, 1, (2, 5, SIDE, SIDE, 2)).astype(np.float32)
  shape = NET.latent_shape(video.shape[1:4])
  latents = rng.normal(size=(2, *shape)).astype(np.float32)
  variables = {"params": convert.to_flax(weights, NET)}
  encode = jax.jit(lambda x: NET.apply(variables, x, method="encode"))
  decode = jax.jit(lambda z: NET.apply(variables, z, method="decode"))
  sd = {name: np.float64(array) for name, array in weights.items()}
  expected = reference.encode(sd, np.moveaxis(np.float64(video[1]), -1, 0), 2)
  for ours, theirs in zip(encode(video), expected, strict=True):
    assert largest_error(ours[1], theirs) < 1e-5
  expected = reference.decode(sd, np.moveaxis(np.float64(latents[1]), -1, 0))
  assert largest_error(decode(latents)[1], expected) < 1e-5


@pytest.mark.parametrize(
  ("z", "base", "total"),
  [
    (4, 64, 107_170_842),
    (16, 96, 241_854_742),
  ],
)
def test_names_and_shapes_are_the_published_ones(z, base, total):
  net = iv_vae.IVVAE(latent_channels=z, base=base)
  state_dict = convert.to_torch(zeros(net), net)
  shapes = {name: array.shape for name, array in state_dict.items()}
  assert list(shapes.items()) == list(reference.shapes(z, base).items())
  assert len(shapes) == 362
  assert sum(int(np.prod(shape)) for shape in shapes.values()) == total


def test_there_and_back_changes_no_bit(weights):
  params = convert.to_flax(weights, NET)
  assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, zeros(NET))
  back = convert.to_torch(params, NET)
  assert list(back) == list(weights)
  for name, array in weights.items():
    assert back[name].dtype == np.float32
    assert back[name].flags.c_contiguous
    np.testing.assert_array_equal(back[name], array)


def test_every_kind_of_file(weights, tmp_path):
  convert.write(tmp_path / "weights.npz", weights)
  convert.write(tmp_path / "weights.safetensors", weights)
  torch_zip.save(tmp_path / "weights.pth", torch_zip.state_dict(weights))
  expected = convert.to_flax(weights, NET)
  files = sorted(tmp_path.iterdir())
  assert len(files) == 3
  for file in files:
    params = convert.to_flax(convert.read(file), NET)
    jax.tree.map(np.testing.assert_array_equal, params, expected)


def _without(state_dict, name):
  return {n: array for n, array in state_dict.items() if n != name}


CHANGES = [
  (
    lambda sd: _without(sd, "encoder.downsamples.3.time_conv.bias"),
    r": it lacks 1 \(encoder\.downsamples\.3\.time_conv\.bias\);",
  ),
  (
    lambda sd: sd | {"encoder.head.2.PAC_6.conv.bias": np.zeros(8, "f4")},
    r": it has besides 1 \(encoder\.head\.2\.PAC_6\.conv\.bias\);",
  ),
  (
    lambda sd: sd | {"conv1.conv_3d.weight": np.zeros((4, 8), "f4")},
    r"'conv1\.conv_3d\.weight' has the shape \(4, 8\), and the model needs "
    r"\(4, 8, 1, 1, 1\); check the sizes in the config's section model\.$",
  ),
  (
    lambda sd: sd | {"encoder.head.0.gamma": np.ones(16, "f4")},
    r"has the shape \(16,\), and the model needs \(16, 1, 1, 1\);",
  ),
  (
    lambda sd: sd | {"conv2.conv_2d.bias": np.zeros(2, int)},
    r"'conv2\.conv_2d\.bias' is of type int64;",
  ),
]


def test_another_state_dict_is_refused(weights):
  for change, said in CHANGES:
    with pytest.raises(errors.UserError, match=said):
      convert.to_flax(change(weights), NET)


@pytest.mark.parametrize(
  ("fields", "said"),
  [
    (dict(branches="motion_motion"), "got 'motion_motion' and 'group_causal'"),
    (dict(convolution="causal"), "got 'key_motion' and 'causal'"),
    (dict(rates=()), r"got model\.rates=\(\)"),
    (dict(multipliers=(1, 2, 3)), r"got model\.multipliers=\(1, 2, 3\)"),
  ],
)
def test_networks_without_published_weights_are_refused(weights, fields, said):
  net = NET.clone(**fields)
  with pytest.raises(errors.UserError, match=said):
    convert.to_flax(weights, net)
  with pytest.raises(errors.UserError, match=said):
    convert.to_torch(zeros(net), net)


def test_parameters_of_another_network_are_refused(weights):
  params = convert.to_flax(weights, NET)
  said = r"decoder/head/key/bias is \(2,\) in them and \(3,\) in the model"
  with pytest.raises(errors.UserError, match=said):
    convert.to_torch(params, NET.clone(image_channels=3))


# The command.

SHALLOW = NET.clone(
  image_channels=1, multipliers=(1, 1), temporal=(True,), attention=(),
  rates=(1,),
)  # fmt: skip
CONFIG = [
  f"--config={CONFIGS}/video_vae.py:frames=5,preset=tiny",
  *(
    f"--config.model.{name}={getattr(SHALLOW, name)}"
    for name in ("multipliers", "temporal", "attention", "rates")
  ),
  "--config.task.adversarial=True",
  "--config.optimizer.warmup_steps=0",
  "--config.discriminator_optimizer.warmup_steps=0",
  "--config.train.steps=8",
  "--config.train.eval_every=0",
  "--config.evaluate.metrics=FD",
  "--config.evaluate.num_samples=8",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  """(state dict, folder of the run that the command made of it)."""
  state_dict = drawn(SHALLOW)
  folder = tmp_path_factory.mktemp("iv_vae")
  file, workdir = folder / "weights.pth", folder / "run"
  torch_zip.save(file, torch_zip.state_dict(state_dict))
  argv = [f"--weights={file}", f"--workdir={workdir}", "--step=7", *CONFIG]
  assert command.main(argv) == 0
  return state_dict, workdir


def test_a_run_of_published_weights_gives_clips_back(made):
  state_dict, workdir = made
  run = runs.restore(workdir)
  assert run.step == 7
  images = run.image_set.test_images[:2]
  rows = keys.example_keys(jax.random.key(0), 2)
  video = run.task.pseudo_video({}, {}, images, key=rows)
  given_back = jax.jit(run.task.reconstruct)(
    run.params, run.extra, images, key=rows
  )
  sd = {name: np.float64(array) for name, array in state_dict.items()}
  # There, clips begin with the clean image.
  clip = np.moveaxis(np.float64(video[1, ::-1]), -1, 0)
  expected = reference.decode(sd, reference.encode(sd, clip, 2)[0])
  assert np.abs(expected).max() > 1
  assert largest_error(given_back[1, ::-1], expected.clip(-1, 1)) < 1e-5


def exported(workdir, step):
  file = workdir.parent / "back.safetensors"
  argv = [f"--export={file}", f"--workdir={workdir}", f"--step={step}"]
  assert command.main(argv) == 0
  return convert.read(file)


def test_such_a_run_is_given_back(made):
  state_dict, workdir = made
  back = exported(workdir, 7)
  assert sorted(back) == sorted(state_dict)
  jax.tree.map(np.testing.assert_array_equal, back, state_dict)


@pytest.mark.slow("trains a converted network")
def test_such_a_run_is_trained_on(made, capsys, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(made[1], workdir)
  assert main.main([f"--workdir={workdir}"]) == 0
  assert "Trained 8 steps" in capsys.readouterr().out
  before, after = (
    checkpoints.load(workdir, step=step, parts=("params", "ema"))[1]
    for step in (7, 8)
  )
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b).max(), after["params"], before["params"]
  )
  assert set(moved) == {"network", "discriminator"}
  for player in moved.values():
    assert 0 < max(jax.tree.leaves(player)) < 2e-2
  back = convert.to_flax(exported(workdir, 8), SHALLOW)
  jax.tree.map(np.testing.assert_array_equal, back, after["ema"]["network"])


def test_such_a_run_has_latents_to_be_learned(made):
  _, workdir = made
  raw = latent_diffusion.get_config("preset=tiny")
  raw.autoencoder.workdir = str(workdir)
  raw = look_up.look_up(parsing.parse(raw)).raw
  task = parsing.parse(raw).make_task((8, 8, 1))
  run = runs.restore(workdir)
  assert task.coder == run.task and task.denoiser.frames == 3
  kept = given.weights(first_stage.AUTOENCODER, task.autoencoder, task.coder)
  jax.tree.map(
    np.testing.assert_array_equal,
    kept["params"],
    {"network": run.params["network"]},
  )


def test_the_config_of_the_help_is_the_published_network():
  argument, *overrides = re.search(
    r"--config=configs/video_vae\.py:(\S+) \\\n((?: +--config\..*\n)+)",
    command.__doc__,
  ).groups()
  raw = video_vae.get_config(argument)
  for line in " ".join(overrides).split():
    name, _, value = line.removeprefix("--config.model.").partition("=")
    raw.model[name] = ast.literal_eval(value.strip('"'))
  task = parsing.parse(raw).make_task((128, 128, 3))
  state_dict = convert.to_torch(zeros(task.model), task.model)
  shapes = {name: array.shape for name, array in state_dict.items()}
  assert shapes == reference.shapes(4, 64)


def test_other_video_vaes_have_no_published_weights(made, tmp_path, capsys):
  file = tmp_path / "weights.npz"
  convert.write(file, made[0])
  for change, said in [
    ("branches=motion", "got 'motion' and 'group_causal', whose weights can"),
    ("convolution=causal", "got 'key_motion' and 'causal', whose weights can"),
    ("base=8", "has the shape (4, 1, 3, 3), and the model needs (8, 1, 3, 3);"),
  ]:
    at = f"--workdir={tmp_path}/run"
    argv = [f"--weights={file}", at, *CONFIG, f"--config.model.{change}"]
    assert command.main(argv) == 2
    assert said in capsys.readouterr().err
  assert [path.name for path in tmp_path.iterdir()] == [file.name]

"""The command: published weights -> run -> samples, and back to a file."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import hvae
from pseudovideo import convert, main
from pseudovideo.commands import convert as command
from pseudovideo.config import comparing
from pseudovideo.models import unet, video_unet
from pseudovideo.runs import checkpoints
from tests.files import torch_zip

CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "video_diffusion.py"
FIELDS = dict(
  channels=8, multipliers=(1, 1), blocks=1, attention=(1,), heads=2, groups=8
)
VIDEO = f"--config={CONFIG}:preset=tiny,frames=4"
IMAGE = f"--config={CONFIG}:preset=tiny,frames=1"


def random_params(net):
  """Parameters of a network for 8x8 images of one channel."""
  shape = (8, 8, 1)
  if isinstance(net, video_unet.VideoUNet):
    init = functools.partial(video_unet.init, net, image_shape=shape, frames=1)
  else:
    x, time = jnp.zeros((1, *shape)), jnp.zeros(1)
    init = functools.partial(net.init, x=x, timesteps=time)
  tree = jax.eval_shape(init, jax.random.key(0))
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: np.float32(0.1 * rng.normal(size=leaf.shape)),
    tree.get("params", tree),
  )


@pytest.fixture(scope="module")
def weights():
  """A state dict of the tiny video network."""
  net = video_unet.VideoUNet(**FIELDS)
  return convert.to_torch(random_params(net), net)


@pytest.fixture
def sentence(capsys):
  """Runs a command that must be refused; returns what it said."""

  def run(*argv):
    assert command.main(list(argv)) == 2
    out, said = capsys.readouterr()
    assert out == "" and said.startswith("Error: ") and said.count("\n") == 1
    return said.removeprefix("Error: ").rstrip("\n")

  return run


@pytest.mark.slow("converts, trains on and samples")
def test_a_checkpoint_of_the_video_code_becomes_a_run(
  weights, tmp_path, capsys
):
  workdir, file = tmp_path / "run", tmp_path / "ema.pt"
  torch_zip.save(
    file, {"state_dict": torch_zip.state_dict(weights), "step": 500}
  )
  argv = [f"--weights={file}", f"--workdir={workdir}", VIDEO, "--step=500"]
  assert command.main(argv) == 0
  said = capsys.readouterr().out
  assert "as step 500; sample with: python -m pseudovideo.main" in said

  net = video_unet.VideoUNet(**FIELDS)
  expected = convert.to_flax(weights, net, channels=1)
  step, parts, _ = checkpoints.load(workdir, parts=("params", "ema", "step"))
  assert step == 500
  for part in ("params", "ema"):
    jax.tree.map(np.testing.assert_array_equal, parts[part], expected)

  sample = [f"--workdir={workdir}", "--mode=sample", "--num_samples=4"]
  assert main.main(sample) == 0
  with np.load(workdir / "samples.npz") as found:
    assert found["images"].shape == (4, 8, 8, 1)
    assert found["step"] == 500
  capsys.readouterr()

  for name in ("back.npz", "back.safetensors"):
    argv = [f"--export={tmp_path / name}", f"--workdir={workdir}"]
    assert command.main(argv) == 0
    said = capsys.readouterr().out
    assert f"averaged weights of step 500, {len(weights)} arrays." in said
    back = convert.read(tmp_path / name)
    assert sorted(back) == sorted(weights)
    jax.tree.map(np.testing.assert_array_equal, back, weights)


def test_an_image_network_with_learned_variances_and_back(tmp_path):
  flat = dict(multipliers=(1,), attention=())
  net = unet.UNet(**FIELDS | flat, out_channels=2)
  params = random_params(net)
  file, workdir = tmp_path / "weights.safetensors", tmp_path / "run"
  convert.write(file, convert.to_torch(params, net))
  config = [
    IMAGE,
    "--config.process.variance=learned",
    "--config.process.loss=hybrid",
    *(f"--config.model.{name}={value}" for name, value in flat.items()),
  ]
  at = f"--workdir={workdir}"
  assert command.main([f"--weights={file}", at, *config]) == 0
  _, parts, _ = checkpoints.load(workdir, step=0, parts=("params", "ema"))
  for part in parts.values():
    jax.tree.map(np.testing.assert_array_equal, part, params)
  file = tmp_path / "back.npz"
  assert command.main([f"--export={file}", at]) == 0
  exported = convert.to_flax(convert.read(file), net, channels=1)
  jax.tree.map(np.testing.assert_array_equal, exported, params)


def test_mistakes(weights, tmp_path, sentence):
  file = tmp_path / "weights.npz"
  convert.write(file, weights)
  at, given = f"--workdir={tmp_path}/run", f"--weights={file}"
  export = f"--export={tmp_path}/out"
  heat = f"--config={CONFIG.parent}/hvae.py:preset=tiny"
  wide = [VIDEO, "--config.model.channels=16"]
  for argv, said in [
    ([given, VIDEO], "Say where the run is, with --workdir=DIR."),
    ([at, VIDEO], "Give either --weights=FILE, to make a run of it, or --exp"),
    ([at, given, f"{export}.npz"], "Give either --weights=FILE"),
    ([at, given], "--weights needs the config of its network, such as --con"),
    ([at, given, VIDEO, "--step=-1"], "--step must not be negative; got -1."),
    ([at, given, VIDEO, "--setp=1"], "did you mean '--step'?"),
    ([at, given, heat], "'heat_hvae' has no published weights; the weights"),
    ([at, given, IMAGE], "(input_blocks.3.1.spatial_attention.qkv.weight, "),
    ([at, given, *wide], "has the shape (32, 8), and the model needs (64, 16)"),
    ([at, f"{given}.pt", VIDEO], "No such file or directory."),
    ([at, f"{export}.pt"], "There is no format of weights named '.pt'. C"),
    ([at, f"{export}.npz"], "There is no checkpoint in"),
  ]:
    assert said in sentence(*argv)
  assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_runs_that_cannot_be(weights, tmp_path, sentence):
  file, workdir = tmp_path / "weights.npz", tmp_path / "run"
  convert.write(file, weights)
  store = checkpoints.Checkpoints(workdir / checkpoints.FOLDER)
  config = comparing.to_json(hvae.get_config("preset=tiny"))
  store.save(3, {"ema": {"a": np.zeros(1)}}, config=config)
  store.close()
  said = sentence(f"--weights={file}", f"--workdir={workdir}", VIDEO)
  assert said.endswith("already holds checkpoints; give another --workdir.")
  said = sentence(f"--export={file}", f"--workdir={workdir}")
  assert said.startswith("The task 'heat_hvae' has no published weights")


def test_help(capsys):
  assert command.main(["--help"]) == 0
  assert "--export" in capsys.readouterr().out

"""Converted weights of IV-VAE compute what the published network computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import convert, errors
from pseudovideo.models.video_vae import iv_vae
from tests.convert import iv_vae_reference as reference
from tests.convert import torch_zip

# A level that halves sides alone, one that halves time too, and all places of
# attention.
NET = iv_vae.IVVAE(
  base=4, latent_channels=4, image_channels=2, multipliers=(1, 2, 2), blocks=1,
  temporal=(False, True), rates=(1, 3),
)  # fmt: skip
SIDE = 16


def zeros(net):
  """Parameters that take no memory."""
  side = net.spatial_factor
  clip = jnp.zeros((1, 1, side, side, net.image_channels))
  tree = jax.eval_shape(net.init, jax.random.key(0), clip)["params"]
  return jax.tree.map(lambda p: np.broadcast_to(np.float32(0), p.shape), tree)


@pytest.fixture(scope="module")
def weights():
  """A state dict with nothing zero, activations of size one."""
  rng = np.random.default_rng(0)
  state_dict = {}
  for name, array in convert.to_torch(zeros(NET), NET).items():
    values = rng.normal(size=array.shape)
    if name.endswith("weight"):
      values /= np.sqrt(np.prod(array.shape[1:]))
    else:
      values = 0.3 * values + name.endswith("gamma")
    state_dict[name] = values.astype(np.float32)
  return state_dict


def largest_error(ours, theirs):
  """Of one clip with channels last, and one with channels first."""
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
    (8, 64, 107_379_150),
    (16, 64, 107_798_550),
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


@pytest.mark.parametrize(
  ("change", "said"),
  [
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
  ],
)
def test_another_state_dict_is_refused(weights, change, said):
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

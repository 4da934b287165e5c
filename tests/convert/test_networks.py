"""Converted weights compute what the published networks compute."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import convert, errors
from pseudovideo.models import unet, video_unet
from tests.convert import reference

# Attention at the middle of three levels: with and without it, a level's last
# block up holds the doubling convolution at another place.
SMALL = dict(channels=32, multipliers=(1, 2, 1), blocks=1, attention=(1,))
IMAGE = unet.UNet(**SMALL, out_channels=6)
VIDEO = video_unet.VideoUNet(**SMALL)
LARGE = dict(multipliers=(1, 2, 3, 4), attention=(2, 3))


def shapes_of(net, channels=3):
  """Names and shapes of the state dict, nothing computed."""
  shape = (2 ** (len(net.multipliers) - 1),) * 2 + (channels,)
  if isinstance(net, video_unet.VideoUNet):
    init = functools.partial(video_unet.init, net, image_shape=shape, frames=3)
  else:
    init = functools.partial(
      net.init, x=jnp.zeros((1, *shape)), timesteps=jnp.zeros(1)
    )
  tree = jax.eval_shape(init, jax.random.key(0))
  nothing = jax.tree.map(
    lambda leaf: np.broadcast_to(np.float32(0), leaf.shape),
    tree.get("params", tree),
  )
  state_dict = convert.to_torch(nothing, net)
  return {name: array.shape for name, array in state_dict.items()}


def random_state_dict(net, seed):
  """Nothing zero, activations of size one."""
  rng = np.random.default_rng(seed)
  state_dict = {}
  for name, shape in shapes_of(net).items():
    values = rng.normal(size=shape)
    if len(shape) > 1:
      values /= np.sqrt(np.prod(shape[1:]))
    elif name.endswith("weight"):
      values = 1 + 0.3 * values
    else:
      values *= 0.3
    state_dict[name] = values.astype(np.float32)
  return state_dict


@pytest.fixture(scope="module")
def image_weights():
  return random_state_dict(IMAGE, 0)


@pytest.fixture(scope="module")
def video_weights():
  return random_state_dict(VIDEO, 1)


def largest_error(ours, theirs):
  return np.abs(ours - theirs).max() / np.abs(theirs).max()


def test_image_network(image_weights):
  rng = np.random.default_rng(2)
  x = rng.normal(size=(2, 3, 16, 16))
  timesteps = np.array([999.0, 12.25])
  expected = reference.improved_diffusion(image_weights, x, timesteps)
  params = convert.to_flax(image_weights, IMAGE)
  out = jax.jit(IMAGE.apply)(
    {"params": params},
    np.float32(x.transpose(0, 2, 3, 1)),
    np.float32(timesteps),
  )
  assert expected.shape == (2, 6, 16, 16)
  assert largest_error(out.transpose(0, 3, 1, 2), expected) < 1e-5


def test_video_network(video_weights):
  """With padding (the last frames), and frames in no order."""
  rng = np.random.default_rng(3)
  x, x0 = rng.normal(size=(2, 2, 4, 3, 16, 16))
  timesteps = np.array([250.5, 3.0])
  observed = np.array([[1, 1, 0, 0], [0, 1, 0, 0]])
  latent = np.array([[0, 0, 1, 0], [1, 0, 0, 0]])
  index = np.array([[0, 2, 7, 5], [3, 1, 0, 11]])
  expected = reference.flexible_video_diffusion(
    video_weights, x, timesteps, x0, observed, latent, index
  )
  params = convert.to_flax(video_weights, VIDEO)
  out = jax.jit(VIDEO.apply)(
    {"params": params},
    np.float32(np.moveaxis(x, 2, -1)),
    np.float32(timesteps),
    x0=np.float32(np.moveaxis(x0, 2, -1)),
    observed=np.float32(observed),
    latent=np.float32(latent),
    frame_indices=index,
  )
  error = largest_error(np.moveaxis(np.asarray(out), -1, 2), expected)
  assert error < 1e-5


@pytest.mark.parametrize(
  ("net", "weights"), [(IMAGE, "image_weights"), (VIDEO, "video_weights")]
)
def test_there_and_back_changes_no_bit(net, weights, request):
  state_dict = request.getfixturevalue(weights)
  params = convert.to_flax(state_dict, net)
  back = convert.to_torch(params, net)
  assert list(back) == list(state_dict)
  for name, array in state_dict.items():
    assert back[name].dtype == np.float32
    assert back[name].flags.c_contiguous
    np.testing.assert_array_equal(back[name], array)
  again = convert.to_flax(back, net)
  jax.tree.map(np.testing.assert_array_equal, again, params)


# Counted and read off in the published code, base 128.
PUBLISHED = {
  "image 64": (
    unet.UNet(**LARGE),
    338,
    92_025_731,
    {
      "middle_block.1.qkv.weight": (1536, 512, 1),
      "output_blocks.2.0.in_layers.2.weight": (512, 896, 3, 3),
      "output_blocks.2.2.conv.weight": (512, 512, 3, 3),
      "output_blocks.3.1.qkv.weight": (1152, 384, 1),
      "output_blocks.8.1.conv.weight": (256, 256, 3, 3),
      "output_blocks.9.0.skip_connection.weight": (128, 384, 1, 1),
      "output_blocks.11.0.out_layers.3.bias": (128,),
    },
  ),
  "video 32": (
    video_unet.VideoUNet(),
    598,
    49_065_987,
    {
      "input_blocks.0.0.weight": (128, 4, 3, 3),
      "input_blocks.4.1.spatial_attention.qkv.weight": (768, 256),
      "input_blocks.4.1.temporal_attention.norm.weight": (256,),
      "input_blocks.4.1.temporal_attention.rpe_q.rpe_net.embed_distances"
      ".weight": (256, 3),
      "input_blocks.7.1.temporal_attention.rpe_k.rpe_net"
      ".embed_diffusion_time.weight": (256, 512),
      "input_blocks.8.1.temporal_attention.rpe_v.rpe_net.out.weight": (
        256,
        256,
      ),
      "middle_block.1.temporal_attention.proj_out.bias": (256,),
      "out.2.weight": (3, 128, 3, 3),
    },
  ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(name):
  net, tensors, total, spots = PUBLISHED[name]
  shapes = shapes_of(net)
  assert len(shapes) == tensors
  assert sum(int(np.prod(shape)) for shape in shapes.values()) == total
  assert {spot: shapes.get(spot) for spot in spots} == spots


@pytest.mark.parametrize("dtype", [np.float64, np.float16, jnp.bfloat16])
def test_any_floating_point_type_becomes_float32(image_weights, dtype):
  cast = {name: array.astype(dtype) for name, array in image_weights.items()}
  params = convert.to_flax(cast, IMAGE)
  assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("f4")}
  np.testing.assert_array_equal(
    params["head"]["bias"], cast["out.2.bias"].astype(np.float32)
  )


def without(state_dict, *names):
  return {n: array for n, array in state_dict.items() if n not in names}


CHANGES = [
  (
    lambda sd: without(sd, "out.2.bias", "out.0.weight"),
    r": it lacks 2 \(out\.0\.weight, out\.2\.bias\);",
  ),
  (
    lambda sd: sd | {"label_emb.weight": np.zeros((10, 128), np.float32)},
    r": it has besides 1 \(label_emb\.weight\);",
  ),
  (
    lambda sd: {f"module.{name}": array for name, array in sd.items()},
    r"lacks (\d+) \(time_embed\.0\.weight, .*, \.\.\.\) and it has besides \1 "
    r"\(module\.time_embed\.0\.weight, ",
  ),
  (
    lambda sd: sd | {"out.2.weight": sd["out.2.weight"][:3]},
    r"'out\.2\.weight' has the shape \(3, 32, 3, 3\), and the model needs "
    r"\(6, 32, 3, 3\);",
  ),
  (
    lambda sd: sd | {"middle_block.1.qkv.weight": np.zeros((96, 32), "f4")},
    r"has the shape \(96, 32\), and the model needs \(96, 32, 1\);",
  ),
  (
    lambda sd: sd | {"out.2.bias": np.zeros(6, int)},
    r"'out\.2\.bias' is of type int64; it must be of a floating-point type",
  ),
]


def test_another_state_dict_is_refused(image_weights):
  for change, said in CHANGES:
    with pytest.raises(errors.UserError, match=said):
      convert.to_flax(change(image_weights), IMAGE)


def test_images_of_other_channels(image_weights):
  with pytest.raises(errors.UserError, match=r"needs \(32, 1, 3, 3\)"):
    convert.to_flax(image_weights, IMAGE, channels=1)


def test_parameters_of_another_network_are_refused(image_weights):
  params = convert.to_flax(image_weights, IMAGE)
  with pytest.raises(errors.UserError, match="down_1_0_temporal/norm/bias is "):
    convert.to_torch(params, VIDEO)
  narrower = IMAGE.clone(out_channels=3)
  said = r"head/bias is \(6,\) in them and \(3,\) in the model"
  with pytest.raises(errors.UserError, match=said):
    convert.to_torch(params, narrower)

"""The temporal autoencoder: against numpy, for any length, from images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models.video_vae import tae, tae_layers
from tests.models import parameters
from tests.models.video_vae import nets, tae_reference

# Four frames of a latent; a level that halves sides alone.
NET = tae.TAE(
  base=4, latent_channels=3, image_channels=2, multipliers=(1, 2, 2, 1),
  blocks=1, temporal=(True, False, True),
)  # fmt: skip
IMAGE = tae.image_vae(NET)
SIDE = nets.SIDE
FRAMES = 6


def smallest(net):
  side = net.spatial_factor
  return jnp.zeros((1, 1, side, side, net.image_channels))


def drawn(net, seed=1):
  return parameters.drawn(net.init, smallest(net), seed=seed)


def shapes(net):
  return jax.eval_shape(net.init, jax.random.key(0), smallest(net))["params"]


PARAMS = drawn(NET)


@jax.jit
def encode(params, video):
  return NET.apply({"params": params}, video, method="encode")


@functools.partial(jax.jit, static_argnums=2)
def decode(params, latents, frames=None):
  return NET.apply({"params": params}, latents, frames, method="decode")


@pytest.mark.parametrize("frames, stride", [(1, 2), (2, 1), (5, 2)])
def test_convolution_over_time(frames, stride):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, frames, 1, 2, 3)).astype(np.float32)
  p = {
    "kernel": rng.normal(size=(9, 3)).astype(np.float32),
    "bias": rng.normal(size=3).astype(np.float32),
  }
  layer = tae_layers.TemporalConv(jnp.float32, stride)
  out = jax.jit(layer.apply)({"params": {"taps": p}}, x)
  num = -(-frames // stride)
  assert out.shape == (2, num, 1, 2, 3)
  taps = p["kernel"].astype(np.float64).reshape(3, 3, 3)
  for k in range(num):
    seen = [
      x[:, np.clip(stride * k + i, 0, frames - 1)] @ taps[1 + i]
      for i in (-1, 0, 1)
    ]
    assert nets.relative_error(out[:, k], sum(seen) + p["bias"]) < 1e-5


def test_convolution_over_time_starts_as_the_identity():
  x = np.random.default_rng(0).normal(size=(1, 5, 1, 2, 3)).astype(np.float32)
  layer = tae_layers.TemporalConv(jnp.float32, 2)
  out, _ = jax.jit(layer.init_with_output)(jax.random.key(0), x)
  np.testing.assert_allclose(out, x[:, ::2], atol=1e-6)


def test_network_is_its_definition():
  video, numbers = nets.clip(FRAMES), nets.float64(PARAMS)
  means, log_variances = encode(PARAMS, video)
  expected = tae_reference.encode(video[1].astype(np.float64), numbers, NET)
  assert nets.relative_error(means[1], expected[0]) < nets.CLOSE
  assert nets.relative_error(log_variances[1], expected[1]) < nets.CLOSE
  out = decode(PARAMS, means, FRAMES)
  assert out.shape == video.shape and out.dtype == jnp.float32
  latents = np.asarray(means[1], np.float64)
  expected = tae_reference.decode(latents, numbers, NET)
  assert len(expected) == 8
  assert nets.relative_error(out[1], expected[:FRAMES]) < nets.CLOSE


def test_a_still_clip_is_its_image_over_and_over():
  """Only with the ends repeated; zeros would tell first frames from others."""
  image = nets.clip(1)
  still = np.repeat(image, FRAMES, axis=1)
  one, many = encode(PARAMS, image), encode(PARAMS, still)
  for alone, repeated in zip(one, many, strict=True):
    assert alone.shape[1] == 1 and repeated.shape[1] == 2
    twice = np.repeat(alone, 2, axis=1)
    assert nets.relative_error(repeated, twice) < nets.CLOSE
  out = decode(PARAMS, one[0], 1)
  assert out.shape == image.shape
  frames = decode(PARAMS, many[0], FRAMES)
  assert nets.relative_error(frames, np.repeat(out, FRAMES, 1)) < nets.CLOSE


def test_every_latent_sees_every_frame():
  video = nets.clip(FRAMES)
  before = np.asarray(encode(PARAMS, video)[0])
  for frame in range(FRAMES):
    changed = video.copy()
    changed[1, frame] *= -1
    difference = np.abs(np.asarray(encode(PARAMS, changed)[0]) - before)
    assert not difference[0].any()
    assert (difference[1].max((1, 2, 3)) > 1e-4).all()


@pytest.mark.parametrize("frames", [1, 8, 9])
def test_clips_of_any_length_come_back(frames):
  net = tae.TAE(base=2, multipliers=(1, 1, 1, 1), blocks=1)
  shape = (1, frames, 16, 8, 3)
  latents, out = jax.eval_shape(
    lambda: net.init_with_output(
      jax.random.key(0), jnp.zeros(shape), method=_both
    )[0]
  )
  num = -(-frames // 8)
  assert latents.shape[1:] == net.latent_shape(shape[1:4]) == (num, 2, 1, 16)
  assert out.shape == shape


def _both(net, video):
  means, _ = net.encode(video)
  return means, net.decode(means, video.shape[1])


@pytest.mark.parametrize("temporal", [(True,) * 3, (False, True, True)])
def test_latents_have_the_sizes_that_strides_leave(temporal):
  net = tae.TAE(temporal=temporal)
  factor = 2 ** sum(temporal)
  for frames in range(1, 40):
    t, h, w, z = net.latent_shape((frames, 64, 8 * frames))
    assert (t, h, z) == (-(-frames // factor), 8, 16)
    assert w == frames


def test_inflated_network_shows_the_first_frame_of_each_latent():
  net = NET.clone(multipliers=(1, 2), temporal=(True,))
  image_vae = tae.image_vae(net)
  key = jax.random.key(0, impl="rbg")  # Compiles five times as fast.
  fresh = jax.jit(net.init)(key, nets.clip(1))["params"]
  image_params = drawn(image_vae, seed=2)
  params = tae.inflate(image_params, fresh)
  assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, fresh)

  def both(net, video):
    means, log_variances = net.encode(video)
    return means, log_variances, net.decode(means)[:, :3]

  def run(net, params):
    clip = nets.clip(3)
    return jax.jit(lambda x: net.apply({"params": params}, x, method=both))(
      clip
    )

  *expected, images = map(np.asarray, run(image_vae, image_params))
  *latents, frames = run(net, params)
  for ours, theirs in zip(latents, expected, strict=True):
    assert nets.relative_error(ours, theirs[:, [0, 2]]) < nets.CLOSE
  assert nets.relative_error(frames, images[:, [0, 0, 2]]) < nets.CLOSE


def test_inflation_adds_the_layers_over_time():
  """(3 C + 1) C behind each 3x3 kernel to C channels, and two attentions."""
  net = tae.TAE()
  image = shapes(tae.image_vae(net))
  outputs = [leaf.shape[-1] for leaf in jax.tree.leaves(image) if leaf.ndim > 2]
  # 2 stems, 2 heads, 2 x 3 between levels; 2 in each of 10 + 14 blocks.
  assert len(outputs) == 4 + 6 + 2 * 24
  convolutions = sum((3 * c + 1) * c for c in outputs)
  attentions = 2 * (512 + (512 + 1) * 3 * 512 + (512 + 1) * 512)
  assert _count(shapes(net)) == _count(image) + convolutions + attentions


def _count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_log_variances_are_bounded():
  params = jax.tree.map(np.copy, PARAMS)
  params["moments"]["key"]["bias"] += np.float32([0, 0, 0, 100, -100, 0])
  _, log_variances = encode(params, nets.clip(1))
  log_variances = np.asarray(log_variances)
  assert (log_variances[..., 0] == 20).all()
  assert (log_variances[..., 1] == -30).all()
  assert (np.abs(log_variances[..., 2]) < 20).all()


def test_half_precision_is_near():
  net, video = NET.clone(dtype="bfloat16"), nets.clip(1)
  means, _ = jax.jit(
    lambda x: net.apply({"params": PARAMS}, x, method="encode")
  )(video)
  expected = np.asarray(encode(PARAMS, video)[0])
  assert means.dtype == jnp.float32
  assert 1e-4 < nets.relative_error(means, expected) < 0.05


def test_the_number_of_frames_must_fit_the_latents():
  latents = np.zeros((1, 2, 2, 2, 3), np.float32)
  for frames in (4, 9):
    with pytest.raises(ValueError, match=f"8 frames or up to 3 .* {frames}"):
      decode(PARAMS, latents, frames)


@pytest.mark.parametrize(
  ("fields", "said"),
  [
    (dict(temporal=(True,)), r"model\.temporal needs .* 3; got \(True,\)"),
    (dict(image_channels=3), r"the channels of the images, 2; got 3"),
    (dict(multipliers=(1,) * 5, temporal=(True,) * 4), "height .* 16.* got 8"),
  ],
)
def test_wrong_fields_are_refused(fields, said):
  NET.check((8, 8, 2), 3)
  with pytest.raises(errors.UserError, match=said):
    NET.clone(**fields).check((8, 8, 2), 3)


def test_illegal_clips_are_refused():
  with pytest.raises(errors.UserError, match="got 12: use 8 or 16"):
    NET.latent_shape((3, 16, 12))
  with pytest.raises(errors.UserError, match="got 0 frames"):
    NET.latent_shape((0, 16, 16))


@pytest.mark.parametrize(
  ("fields", "said"),
  [
    (
      dict(latent_channels=4),
      r"is \(3, 3, 4, 4\) in .* \(3, 3, 3, 4\) in the T",
    ),
    (
      dict(attention=()),
      r"'decoder/middle_attention/key/.* is absent in the i",
    ),
    (dict(rates=(1,)), r"'encoder/head/conv/bias' is absent in the image VAE"),
  ],
)
def test_another_image_vae_is_refused(fields, said):
  with pytest.raises(errors.UserError, match=said):
    tae.inflate(shapes(IMAGE.clone(**fields)), PARAMS)

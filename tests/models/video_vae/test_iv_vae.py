"""The video VAEs against numpy in float64, their sizes, what sees what."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.models.video_vae import iv_vae
from tests.models.video_vae import nets, reference

IVVAE = iv_vae.IVVAE
WAN = IVVAE(
  base=96, branches="motion", convolution="causal", attention=("middle",),
  rates=(),
)  # fmt: skip
NO_TMPE = IVVAE(attention=("middle",), rates=())

# Published networks: parameters in all, of the encoder, of the decoder.
PUBLISHED = {
  "Z=4": (IVVAE(latent_channels=4), (107_170_842, 44_894_648, 62_276_102)),
  "Z=8": (IVVAE(latent_channels=8), (107_379_150, 45_084_272, 62_294_534)),
  "Z=16": (IVVAE(latent_channels=16), (107_798_550, 45_465_824, 62_331_398)),
  "Z=16, base 96": (
    IVVAE(latent_channels=16, base=96),
    (241_854_742, 101_698_784, 140_154_630),
  ),
}
# All in all. Those of the causal baseline are Wan's public video VAE.
COUNTS = {
  "causal": (WAN, 126_642_699),
  "causal, Z=16": (WAN.clone(latent_channels=16), 126_892_531),
  "groups cost nothing": (WAN.clone(convolution="group_causal"), 126_642_699),
  "without TMPE": (NO_TMPE, 103_913_326),
  "seven attentions": (
    IVVAE(attention=("blocks", "middle")),
    107_379_150 - 526_848,
  ),
  "3-D and 3-D": (IVVAE(branches="motion_motion"), 135_701_070),
}


@functools.cache
def sizes(net):
  clip = jnp.zeros((1, 1, net.spatial_factor, net.spatial_factor, 3))
  return jax.eval_shape(net.init, jax.random.key(0), clip)["params"]


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.slow("traces networks of the published sizes")
def test_parameter_counts_are_the_published_ones():
  for name, (net, expected) in PUBLISHED.items():
    params = sizes(net)
    parts = params, params["encoder"], params["decoder"]
    assert tuple(map(count, parts)) == expected, name
  for name, (net, expected) in COUNTS.items():
    assert count(sizes(net)) == expected, name


def test_blocks_have_the_published_sizes():
  """Weights and biases, counted from the names and shapes of the published
  state dict of Z = 4, base 64."""
  params = sizes(IVVAE(latent_channels=4))
  e, d = params["encoder"], params["decoder"]
  pair = 64 * 128 * 9 + 64 * 128 * 27 + 128
  assert count(e["stem"]) == 64 * 3 * 9 + 64 * 3 * 27 + 128
  assert count(e["level_0_0"]) == count(e["level_0_1"]) == 2 * (pair + 128)
  assert count(e["level_0_down"]) == 2 * (64 * 64 * 9 + 64)
  assert count(e["level_1_down"]) == (
    2 * (128 * 128 * 9 + 128) + 128 * 128 * 2 + 128
  )
  attention = 2 * (256 + 768 * 256 + 768 + 256 * 256 + 256)
  assert count(e["level_2_down_attention"]) == attention == 526_848
  joint = 512 * 512 * 9 + 512
  assert count(e["level_3_1"]) == count(e["middle_1"]) == 2 * (joint + 512)
  assert count(e["head"]) == 188_856
  assert count(params["moments"]) == 2 * (4 * 8 + 4)
  assert count(params["latents"]) == 2 * (2 * 4 + 2)
  assert count(d["stem"]) == 512 * 4 * 9 + 512
  assert count(d["level_3_up"]) == (2 * (128 * 256 * 9 + 128) + 512 * 256 + 512)
  assert count(d["level_1_up"]) == 2 * (64 * 128 * 9 + 64)
  assert count(d["head"]) == 3 * 128 * 9 + 3 * 128 * 27 + 6


@pytest.mark.parametrize(
  "name", [name for name in nets.NETS if not name.startswith("lean")]
)
def test_network_is_its_definition(name):
  net, params, video = nets.NETS[name], nets.params(name), nets.clip(9)
  net.check((nets.SIDE, nets.SIDE, 2), 9)
  (means, log_variances), _ = nets.encode(name)(params, video, None)
  shape = net.latent_shape(video.shape[1:4])
  assert means.shape == log_variances.shape == (2, *shape)
  out, _ = nets.decode(name)(params, means, None)
  assert out.shape == video.shape and out.dtype == jnp.float32
  numbers = nets.float64(params)
  expected = reference.encode(video[1].astype(np.float64), numbers, net)
  assert nets.relative_error(means[1], expected[0]) < nets.CLOSE
  assert nets.relative_error(log_variances[1], expected[1]) < nets.CLOSE
  latents = np.asarray(means[1], np.float64)
  expected = reference.decode(latents, numbers, net)
  assert nets.relative_error(out[1], expected) < nets.CLOSE


def groups(name):
  """For every frame of 9 the latent that it belongs to."""
  factor = 2 ** sum(nets.NETS[name].temporal)
  return [0] + [1 + t // factor for t in range(8)]


@pytest.mark.parametrize("name", ["iv", "by two"])
def test_latents_see_their_group_and_earlier_ones(name):
  """Every frame of the group, in both halves of the channels."""
  encode, params, video = nets.encode(name), nets.params(name), nets.clip(9)
  (before, _), _ = encode(params, video, None)
  before = np.asarray(before)
  for frame, group in enumerate(groups(name)):
    changed = video.copy()
    changed[1, frame] *= -1
    (after, _), _ = encode(params, changed, None)
    difference = np.abs(np.asarray(after) - before)
    assert not difference[0].any()
    assert not difference[1, :group].any()
    halves = difference[1, group].reshape(-1, 2, 2).max((0, 2))
    assert (halves > 1e-4).all(), frame


@pytest.mark.parametrize("name", ["iv", "by two"])
def test_frames_see_their_latent_and_earlier_ones(name):
  decode, params = nets.decode(name), nets.params(name)
  latents = nets.latents(name, 9)
  before = np.asarray(decode(params, latents, None)[0])
  for group in range(latents.shape[1]):
    changed = latents.copy()
    changed[1, group] *= -1
    after = np.asarray(decode(params, changed, None)[0])
    difference = np.abs(after - before).max((2, 3, 4))
    assert not difference[0].any()
    of_frames = np.array(groups(name))
    assert not difference[1, of_frames < group].any()
    assert (difference[1, of_frames == group] > 1e-4).all()


@pytest.mark.parametrize(
  "name, of_key", [("iv", [0, 1, 5]), ("by two", [0, 1, 3, 5, 7])]
)
def test_the_key_branch_gives_the_first_frame_of_each_group(name, of_key):
  decode, params = nets.decode(name), nets.params(name)
  latents = nets.latents(name, 9)
  before = np.asarray(decode(params, latents, None)[0])
  for branch in ("key", "motion"):
    changed = jax.tree.map(np.copy, params)
    head = changed["decoder"]["head"][branch]
    head.get("group_causal", head)["bias"] += 1
    after = np.asarray(decode(changed, latents, None)[0])
    frames = np.flatnonzero((after != before).any((0, 2, 3, 4)))
    others = [t for t in range(9) if t not in of_key]
    assert list(frames) == (of_key if branch == "key" else others)


def test_log_variances_are_bounded():
  params = jax.tree.map(np.copy, nets.params("iv"))
  params["moments"]["key"]["bias"] += [0, 0, 100, -100]
  (_, log_variances), _ = nets.encode("iv")(params, nets.clip(9), None)
  log_variances = np.asarray(log_variances)
  assert (log_variances[..., 0] == 20).all()
  assert (log_variances[..., 1] == -30).all()
  assert (np.abs(log_variances[..., 2:]) < 20).all()


def test_half_precision_is_near():
  net = nets.BY_TWO.clone(dtype="bfloat16")
  video, params = nets.clip(9), nets.params("by two")
  encode = jax.jit(lambda x: net.apply({"params": params}, x, method="encode"))
  means, log_variances = encode(video)
  (expected, _), _ = nets.encode("by two")(params, video, None)
  assert means.dtype == log_variances.dtype == jnp.float32
  assert 1e-4 < nets.relative_error(means, np.asarray(expected)) < 0.05

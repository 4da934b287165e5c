"""The blocks of the video VAEs against numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.models.video_vae import (
  blocks,
  branches,
  layers,
  resampling,
  temporal,
)
from tests.models.video_vae import nets, reference

TWO = branches.Design("key_motion", "group_causal", jnp.float32)
ONE = branches.Design("motion", "causal", jnp.float32)


def made(layer, channels, frames=9, side=6, first=(True,)):
  """A clip, drawn parameters in float64, and the layer's output for it."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, frames, side, side, channels)).astype(np.float32)
  shapes = jax.eval_shape(
    lambda k, x: layer.init(k, x, *first), jax.random.key(0), x
  )
  params = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32),
    shapes["params"],
  )
  out = jax.jit(lambda p, x: layer.apply({"params": p}, x, *first))(params, x)
  return x.astype(np.float64), nets.float64(params), np.asarray(out)


def check(out, x, expected):
  """The second clip of the batch is what numpy makes of it."""
  assert nets.relative_error(out[1], expected(x[1])) < 1e-5


@pytest.mark.parametrize("group", [4, 2, 1])
def test_convolution_in_groups(group):
  conv = temporal.GroupCausalConv(4, group, jnp.float32)
  x, p, out = made(conv, 3)
  check(
    out, x, lambda clip: reference.group_causal(clip, p["group_causal"], group)
  )


def test_causal_convolution():
  x, p, out = made(temporal.CausalConv(4, jnp.float32), 3)
  check(out, x, lambda clip: reference.causal(clip, p["causal"]))


def test_norm_of_each_branch():
  num = 2
  rng = np.random.default_rng(0)
  # From norms far below the bound to large ones.
  size = 10.0 ** np.array([-15, -13, -11, -3, 0, 4])
  x = (rng.normal(size=(3, 6, 8)) * size[None, :, None]).astype(np.float32)
  scale = rng.normal(size=8).astype(np.float32)
  out = jax.jit(layers.RMSNorm(num).apply)({"params": {"scale": scale}}, x)
  expected = reference.norm(x.astype(np.float64), {"scale": scale}, num)
  np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_norm_of_nothing_has_a_gradient():
  norm = layers.RMSNorm(1)
  params = {"scale": jnp.ones(3)}
  gradient = jax.jit(
    jax.grad(lambda x: norm.apply({"params": params}, x).sum())
  )
  assert np.isfinite(gradient(jnp.zeros((1, 3)))).all()


@pytest.mark.parametrize("design, num", [(TWO, 2), (ONE, 1)])
def test_parallel_dilated_convolutions(design, num):
  layer = blocks.ParallelDilated(design, 4, (1, 2, 4))
  x, p, out = made(layer, 6, frames=1, first=())
  check(out, x, lambda clip: reference.dilated(clip, p, num, (1, 2, 4)))


def test_attention_is_within_frames_and_branches():
  x, p, out = made(blocks.Attention(TWO), 6, frames=3, side=3, first=())
  check(out, x, lambda clip: reference.attend(clip, p))


@pytest.mark.parametrize("design", [TWO, ONE], ids=["two", "one"])
def test_halving_of_sides_and_time(design):
  frames = 9
  layer = resampling.Downsample(design, True)
  x, p, out = made(layer, 4, frames)
  assert out.shape == (2, (frames + 1) // 2, 3, 3, 4)
  check(out, x, lambda clip: reference.down(clip, p, True))


@pytest.mark.parametrize("design", [TWO, ONE], ids=["two", "one"])
def test_doubling_of_sides_and_time(design):
  frames = 5
  x, p, out = made(resampling.Upsample(design, True), 4, frames, 3)
  assert out.shape == (2, 2 * frames - 1, 6, 6, 2)
  check(out, x, lambda clip: reference.up(clip, p, True))

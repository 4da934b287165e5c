"""Blocks against plain numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal, special

from pseudovideo.models import layers
from tests.models import parameters


def conv(x, p, stride=1):
  """Symmetric zero padding, cross-correlation, then every stride-th pixel."""
  kernel, bias = p["kernel"], p["bias"]
  pad = (kernel.shape[0] - 1) // 2
  x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  out = np.stack(
    [
      sum(
        np.stack(
          [
            signal.correlate2d(xi[..., i], kernel[..., i, o], "valid")
            for xi in x
          ]
        )
        for i in range(x.shape[-1])
      )
      + bias[o]
      for o in range(kernel.shape[-1])
    ],
    axis=-1,
  )
  return out[:, ::stride, ::stride]


def dense(x, p):
  return x @ p["kernel"] + p["bias"]


def silu(x):
  return x * special.expit(x)


def group_norm(x, p, groups):
  b, h, w, c = x.shape
  g = x.reshape(b, h * w, groups, c // groups)
  mean = g.mean(axis=(1, 3), keepdims=True)
  var = g.var(axis=(1, 3), keepdims=True)
  g = ((g - mean) / np.sqrt(var + 1e-5)).reshape(x.shape)
  return g * p["scale"] + p["bias"]


def apply(module, x, *args):
  """Module and parameters in float64."""
  with jax.enable_x64(True):
    params = jax.tree.map(np.float64, parameters.drawn(module.init, x, *args))
    out = jax.jit(module.apply)({"params": params}, x, *args)
    return np.asarray(out), params


@pytest.fixture
def x():
  return np.random.default_rng(0).normal(size=(2, 4, 6, 8))


@pytest.mark.parametrize(
  "conditioning, features", [("additive", 8), ("scale_shift", 12)]
)
def test_res_block(x, conditioning, features):
  e = np.random.default_rng(2).normal(size=(2, 5))
  module = layers.ResBlock(features, 4, 0.0, conditioning, jnp.float64)
  ours, p = apply(module, x, e)
  h = conv(silu(group_norm(x, p["norm_in"], 4)), p["conv_in"])
  time = dense(silu(e), p["time"])[:, None, None]
  if conditioning == "scale_shift":
    scale, shift = time[..., :features], time[..., features:]
    h = group_norm(h, p["norm_out"], 4) * (1 + scale) + shift
  else:
    h = group_norm(h + time, p["norm_out"], 4)
  h = conv(silu(h), p["conv_out"])
  skip = conv(x, p["skip"]) if features != 8 else x
  # Normalisation is float32 whatever the type of the arithmetic.
  np.testing.assert_allclose(ours, skip + h, atol=2e-5)


def test_self_attention(x):
  heads = 2
  ours, p = apply(layers.SelfAttention(heads, 4, jnp.float64), x)
  b, h, w, c = x.shape
  qkv = dense(group_norm(x, p["norm"], 4).reshape(b, h * w, c), p["qkv"])
  q, k, v = (
    part.reshape(b, h * w, heads, c // heads)
    for part in np.split(qkv, 3, axis=-1)
  )
  logits = np.einsum("bnhd,bmhd->bhnm", q, k) / np.sqrt(c // heads)
  out = np.einsum("bhnm,bmhd->bnhd", special.softmax(logits, axis=-1), v)
  expected = x + dense(out.reshape(b, h, w, c), p["out"])
  np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_downsample_pads_symmetrically(x):
  ours, p = apply(layers.Downsample(jnp.float64), x)
  np.testing.assert_allclose(ours, conv(x, p["conv"], stride=2), atol=1e-12)


def test_upsample_repeats_then_convolves(x):
  ours, p = apply(layers.Upsample(jnp.float64), x)
  doubled = np.kron(x.transpose(0, 3, 1, 2), np.ones((2, 2)))
  expected = conv(doubled.transpose(0, 2, 3, 1), p["conv"])
  np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_timestep_embedding_is_cosines_then_sines():
  t = np.array([0.0, 3.0, 977.0])
  ours = np.asarray(layers.timestep_embedding(jnp.asarray(t), 6))
  frequencies = 10000.0 ** (-np.arange(3) / 3)
  angles = t[:, None] * frequencies
  expected = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
  np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_initialisation_is_pytorchs(key):
  x = jnp.zeros((1, 4, 4, 8))
  init = jax.jit(layers.Downsample().init)
  conv_params = init(key, x)["params"]["conv"]
  bound = 1 / np.sqrt(8 * 9)
  for name in ("kernel", "bias"):
    values = np.asarray(conv_params[name])
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.6 * bound
  np.testing.assert_allclose(
    np.asarray(conv_params["kernel"]).std(), bound / np.sqrt(3), rtol=0.1
  )


def test_dropout_belongs_to_the_example(key):
  x = jnp.ones((6, 40, 40, 2))
  apply = jax.jit(layers.ExampleDropout(0.25).apply)
  whole = np.asarray(apply({}, x, key))
  assert set(np.unique(whole).round(5)) == {0.0, np.float32(4 / 3).round(5)}
  assert abs((whole == 0).mean() - 0.25) < 0.02
  rows = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(4, 6))
  np.testing.assert_array_equal(whole[4:], apply({}, x[:2], rows))
  np.testing.assert_array_equal(apply({}, x, None), x)


@pytest.mark.parametrize("mean", [0, 100])
def test_group_norm_around_any_mean(mean):
  """Deviations of 0.1 from a mean of 100 have 5 digits in float32."""
  x = mean + 0.1 * np.random.default_rng(0).standard_normal((2, 5, 3, 8))
  p = {"scale": np.linspace(1, 2, 8), "bias": np.linspace(-1, 1, 8)}
  variables, x32 = jax.tree.map(jnp.float32, ({"params": p}, x))
  found = layers.GroupNorm(4).apply(variables, x32)
  np.testing.assert_allclose(found, group_norm(x, p, 4), atol=1e-3)

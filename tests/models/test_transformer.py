"""Attention, positions and stacks against numpy in float64, and causality."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.models import attention, position, transformer
from tests.models import parameters
from tests.models import transformer_reference as reference


def double(params):
  return jax.tree.map(lambda p: np.asarray(p, np.float64), params)


def normal(*shape, seed=1):
  rng = np.random.default_rng(seed)
  return rng.normal(size=shape).astype(np.float32)


def assert_close(ours, expected, relative=1e-5):
  difference = np.abs(np.asarray(ours) - expected).max()
  assert difference < relative * np.abs(expected).max(), difference


def test_alibi_slopes_of_eight_heads_are_powers_of_one_half():
  expected = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
  np.testing.assert_array_equal(position.alibi_slopes(8), expected)


def test_alibi_falls_with_distance_and_forbids_the_future():
  bias = position.causal_alibi(8, 3)
  no = -np.inf
  np.testing.assert_array_equal(bias[0], [[0, no, no], [-0.5, 0, no],
                                          [-1, -0.5, 0]])  # fmt: skip
  assert bias[7, 2, 0] == -2 / 256


@pytest.mark.parametrize("grid, hidden", [((3, 4), 6), ((2, 3, 4), 5)])
def test_position_bias_is_that_of_all_pairs(grid, hidden):
  net = position.ContinuousPositionBias(heads=3, hidden=hidden)
  params = parameters.drawn(net.init, grid)
  bias = jax.jit(net.apply, static_argnums=1)({"params": params}, grid)
  assert_close(bias, reference.position_bias(grid, double(params)))


def test_position_bias_of_the_paper_has_the_published_size(key):
  net = position.ContinuousPositionBias(heads=8, hidden=512)
  shapes = jax.eval_shape(lambda k: net.init(k, (8, 8)), key)
  assert sum(s.size for s in jax.tree.leaves(shapes)) == 268_296


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("scrambled", [True, False])
def test_peg_is_a_correlation(causal, scrambled):
  net = position.PEG(causal=causal, scrambled=scrambled)
  x = normal(2, 4, 3, 5, 6)
  params = parameters.drawn(net.init, x)
  ours = jax.jit(net.apply)({"params": params}, x)
  for row in range(2):
    assert_close(
      ours[row],
      reference.peg(
        x[row].astype(np.float64),
        double(params),
        causal=causal,
        scrambled=scrambled,
      ),
    )


def test_unit_vectors_and_their_gradient_at_zero():
  x = normal(5, 7)
  expected = x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
  assert_close(attention.unit(jnp.asarray(x)), expected, 1e-6)
  slope = jax.jit(jax.grad(lambda x: attention.unit(x).sum()))
  gradient = slope(jnp.zeros(7))
  assert np.isfinite(gradient).all()


@pytest.fixture(scope="module", params=["space", "time", "all"])
def stack(request):
  """Network, parameters, input, bias; four tokens of time, 2x3 of space."""
  over = request.param
  net = transformer.Transformer(2, over, heads=2, head_width=4)
  x = normal(2, 4, 2, 3, 10)
  n = {"space": 6, "time": 4, "all": 24}[over]
  bias = None if over == "time" else normal(2, n, n, seed=2)
  params = parameters.drawn(net.init, x, bias)
  return net, jax.jit(net.apply), params, x, bias


def test_a_stack_is_its_definition(stack):
  net, apply, params, x, bias = stack
  ours = apply({"params": params}, x, bias)
  for row in range(2):
    expected = reference.stack(
      x[row].astype(np.float64),
      double(params),
      over=net.over,
      depth=2,
      heads=2,
      bias=bias,
    )
    assert_close(ours[row], expected)


def test_who_sees_whom(stack):
  net, apply, params, x, bias = stack
  before = np.asarray(apply({"params": params}, x, bias))
  changed = x.copy()
  changed[1, 2, 1, 2] += normal(10, seed=3)
  after = np.asarray(apply({"params": params}, changed, bias))
  seen = (after != before).any(-1)
  expected = np.zeros((2, 4, 2, 3), bool)
  if net.over == "space":
    expected[1, 2] = True
  elif net.over == "time":
    expected[1, 2:] = True  # the whole plane, through two layers of PEG
    assert not seen[~expected].any()
    assert seen[1, 2:, :, 1:].all(), "neighbours are reached"
    return
  else:
    expected[1] = True
  np.testing.assert_array_equal(seen, expected)


def test_depth_zero_is_a_layer_norm(key):
  net = transformer.Transformer(0, "time")
  x = normal(1, 2, 3, 2, 8)
  out, variables = jax.jit(net.init_with_output)(key, x)
  assert jax.tree.map(jnp.shape, variables["params"]) == {
    "norm": {"scale": (8,)}
  }
  deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
  expected = (x - x.mean(-1, keepdims=True)) / deviation
  # Means of eight numbers, some 20 roundings by 6e-8 of numbers below 3.
  np.testing.assert_allclose(out, expected, atol=4e-6)


def test_parameter_counts_are_the_published_ones(key):
  for over, published in [("space", 12_590_080), ("time", 12_647_424)]:
    net = transformer.Transformer(4, over)
    shapes = jax.eval_shape(net.init, key, jnp.zeros((1, 1, 1, 1, 512)))
    assert sum(s.size for s in jax.tree.leaves(shapes)) == published


def test_a_stack_over_all_tokens_completes_the_published_token_model(key):
  net = transformer.Transformer(6, "all")
  shapes = jax.eval_shape(net.init, key, jnp.zeros((1, 1, 1, 1, 512)))
  stack = sum(s.size for s in jax.tree.leaves(shapes))
  embeddings = (1025 + 64) * 512
  offsets = (3 * 64 + 64) + (64 * 64 + 64) + (64 * 8 + 8)
  logits = 512 * 1024 + 1024
  assert stack + embeddings + offsets + logits == 20_058_696


def test_misuse_is_refused(key):
  x = jnp.zeros((1, 2, 1, 1, 8))
  with pytest.raises(ValueError, match="AliBi"):
    transformer.Transformer(1, "time").init(key, x, jnp.zeros((8, 2, 2)))

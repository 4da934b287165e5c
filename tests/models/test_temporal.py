"""Temporal attention against loops in numpy, and what it cannot see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from pseudovideo.models import temporal
from tests.models import parameters

B, T, H, W, C, HEADS, GROUPS, E = 2, 4, 2, 3, 8, 2, 4, 6
INDICES = np.array([[0, 1, 2, 5], [3, 1, 7, 0]])


@pytest.fixture(scope="module", params=[True, False])
def module(request):
  return temporal.TemporalAttention(
    HEADS, GROUPS, residual_on_normed=request.param
  )


@pytest.fixture(scope="module")
def inputs():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(B, T, H, W, C)).astype(np.float32)
  embedding = rng.normal(size=(B, E)).astype(np.float32)
  positions = temporal.position_features(jnp.asarray(INDICES))
  together = np.ones((B, T, T), bool)
  together[1, 2, :] = together[1, :, 2] = False
  together[1, 2, 2] = True
  return x, embedding, positions, jnp.asarray(together)


@pytest.fixture(scope="module")
def params(module, inputs):
  return parameters.drawn(module.init, *inputs)


@pytest.fixture(scope="module")
def apply(module):
  return jax.jit(module.apply)


def linear(x, p):
  return x @ np.asarray(p["kernel"], np.float64) + np.asarray(p["bias"])


def relative(i, j, row, embedding, p):
  """R[i, j] by the definition, (HEADS, C / HEADS)."""
  d = int(INDICES[row, i]) - int(INDICES[row, j])
  features = np.array([np.log(1 + max(d, 0)), np.log(1 + max(-d, 0)), d == 0])
  h = linear(features, p["distance"]) + linear(embedding[row], p["time"])
  h = linear(h * special.expit(h), p["out"])
  return h.reshape(HEADS, C // HEADS)


def by_loops(x, embedding, together, p, on_normed):
  out = np.zeros(x.shape)
  for b, y, z in np.ndindex(B, H, W):
    pixel = x[b, :, y, z].astype(np.float64)
    groups = pixel.reshape(T, GROUPS, C // GROUPS)
    mean = groups.mean((0, 2), keepdims=True)
    var = groups.var((0, 2), keepdims=True)
    normed = ((groups - mean) / np.sqrt(var + 1e-5)).reshape(T, C)
    normed = normed * p["norm"]["scale"] + p["norm"]["bias"]
    q, k, v = (
      part.reshape(T, HEADS, C // HEADS)
      for part in np.split(linear(normed, p["qkv"]), 3, axis=-1)
    )
    for i in range(T):
      result = np.zeros((HEADS, C // HEADS))
      for n in range(HEADS):
        logits = np.full(T, -np.inf)
        for j in range(T):
          if together[b, i, j]:
            to_key = relative(i, j, b, embedding, p["rpe_k"])[n]
            to_query = relative(j, i, b, embedding, p["rpe_q"])[n]
            logits[j] = q[i, n] @ (k[j, n] + to_key) + k[j, n] @ to_query
        weights = special.softmax(logits / np.sqrt(C / HEADS))
        for j in range(T):
          to_value = relative(i, j, b, embedding, p["rpe_v"])[n]
          result[n] += weights[j] * (v[j, n] + to_value)
      residual = normed[i] if on_normed else pixel[i]
      out[b, i, y, z] = residual + linear(result.reshape(C), p["out"])
  return out


def test_it_is_the_definition(module, apply, params, inputs):
  x, embedding, _, together = inputs
  ours = apply({"params": params}, *inputs)
  numbers = jax.tree.map(np.asarray, params)
  expected = by_loops(
    x, embedding, np.asarray(together), numbers, module.residual_on_normed
  )
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_only_differences_of_positions_matter(apply, params, inputs):
  x, embedding, positions, together = inputs
  shifted = temporal.position_features(jnp.asarray(INDICES) + 5)
  np.testing.assert_array_equal(shifted, positions)
  swapped = temporal.position_features(jnp.asarray(INDICES)[:, ::-1])
  ours = apply({"params": params}, x, embedding, positions, together)
  back = apply(
    {"params": params},
    x[:, ::-1],
    embedding,
    swapped,
    together[:, ::-1, ::-1],
  )
  np.testing.assert_allclose(back[:, ::-1], ours, atol=2e-5)
  other = apply({"params": params}, x, embedding, swapped, together)
  assert np.abs(other - ours).max() > 1e-2


def test_an_untrained_layer_passes_its_input_on(module, apply, inputs):
  key = jax.random.key(0, impl="rbg")  # Compiles five times as fast.
  out = apply(jax.jit(module.init)(key, *inputs), *inputs)
  difference = np.abs(out - inputs[0]).max()
  if module.residual_on_normed:
    assert difference > 0.1, "the published code passes the normalised input"
    spread = np.asarray(out).reshape(B, T, H, W, GROUPS, -1).std((1, 5))
    np.testing.assert_allclose(spread, 1, atol=1e-3)
  else:
    assert difference == 0


def test_frames_that_are_kept_apart_do_not_exchange_values(
  apply, params, inputs
):
  x, embedding, positions, together = inputs
  groups = x[1].reshape(T, H, W, GROUPS, -1)
  # Permuting channels inside groups leaves all statistics as they are.
  changed = x.copy()
  changed[1, 2] = groups[2][..., ::-1].reshape(H, W, C)
  before = apply({"params": params}, x, embedding, positions, together)
  after = apply({"params": params}, changed, embedding, positions, together)
  others = np.array([0, 1, 3])
  np.testing.assert_allclose(after[1, others], before[1, others], atol=1e-5)
  assert np.abs(after[1, 2] - before[1, 2]).max() > 1e-2

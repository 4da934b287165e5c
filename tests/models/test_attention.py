"""Cosine attention where vectors are short; the rest is in test_transformer."""

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo.models import attention
from tests.models import parameters


def test_unit_vectors_down_to_the_bound():
  x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
  length = np.linalg.norm(np.float64(x), axis=1, keepdims=True)
  for scale in (1e3, 1.0, 1e-5):
    found = attention.unit(jnp.float32(scale * x))
    np.testing.assert_allclose(found, x / length, rtol=1e-5)
  short = jnp.float32(1e-9 * x)
  np.testing.assert_allclose(attention.unit(short), 1e6 * short, rtol=1e-5)


def test_finite_derivatives_where_keys_are_short():
  """The first two, since a gradient penalty is differentiated again."""
  net = attention.CosineAttention(2, 3)
  x = np.random.default_rng(0).normal(size=(1, 4, 4)).astype(np.float32)
  params = parameters.drawn(net.init, x)

  def squared_slope(x):
    slope = jax.grad(lambda x: net.apply({"params": params}, x).sum())(x)
    return (slope**2).sum()

  derivatives = jax.jit(jax.value_and_grad(squared_slope))
  for length in (0.0, 1e-9, 1e-5):
    value, slope = derivatives(np.float32(length) * x)
    assert np.isfinite(value) and np.isfinite(slope).all()

"""Use of a codebook, and rounding that lets gradients pass."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from pseudovideo.models.quantizers import common


def test_usage_counts_codes_and_their_entropy(key):
  ids = jax.random.randint(key, (3, 4, 5), 0, 7) ** 2
  counts = np.bincount(np.asarray(ids).ravel(), minlength=64)
  result = jax.jit(lambda i: common.usage(i, 64))(ids)
  assert all(value.dtype == jnp.float32 for value in result.values())
  assert 1 < result["codes_used"] == (counts > 0).sum() < 8
  perplexity = np.exp(stats.entropy(counts / counts.sum()))
  np.testing.assert_allclose(result["perplexity"], perplexity, rtol=1e-5)


def test_usage_of_one_code_and_of_all():
  usage = jax.jit(common.usage, static_argnums=1)
  one = usage(jnp.full((6,), 3), 4)
  assert one["codes_used"] == 1 and one["perplexity"] == 1
  every = usage(jnp.arange(12) % 4, 4)
  assert every["codes_used"] == 4
  np.testing.assert_allclose(every["perplexity"], 4, rtol=1e-6)


def test_straight_through_is_exact_and_has_the_carriers_gradient(key):
  # Far apart, so that carrier + (value - carrier) would round.
  value = jax.random.normal(key, (1000,)) * 1e-6
  x = jax.random.normal(jax.random.key(1), (1000,)) * 1e3
  weight = jax.random.normal(jax.random.key(2), (1000,))

  def loss(value, x):
    values = common.straight_through(value, jnp.square(x))
    return jnp.sum(weight * values), values

  (to_value, to_x), values = jax.jit(
    jax.grad(loss, argnums=(0, 1), has_aux=True)
  )(value, x)
  np.testing.assert_array_equal(values, value)
  assert not to_value.any()
  np.testing.assert_allclose(to_x, 2 * x * weight, rtol=1e-6)

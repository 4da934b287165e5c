"""Look-up-free quantization against all codes written out in float64."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from pseudovideo import errors
from pseudovideo.models.quantizers import lfq

SMALL = lfq.LookupFree(
  codes=32, width=7, inverse_temperature=1.5, diversity=0.7
)
SHAPE = (3, 4, 5, 7)
# All rows of five signs, in the order of their ids.
SIGNS = np.array(list(itertools.product((-1.0, 1.0), repeat=5)))


@pytest.fixture(scope="module")
def params():
  return jax.jit(SMALL.init)(jax.random.key(1))[0]


@pytest.fixture(scope="module")
def z():
  return jax.random.normal(jax.random.key(2), SHAPE)


@pytest.fixture(scope="module")
def quantized(params, z):
  return jax.device_get(jax.jit(SMALL.quantize)(params, {}, z))


def linear(weights, x):
  kernel = np.asarray(weights["kernel"], np.float64)
  return np.asarray(x, np.float64) @ kernel + np.asarray(weights["bias"])


def entropy_loss(x, inverse_temperature, diversity):
  """(B, N, bits) -> (B,): p over all codes, by distances to them."""
  away = np.square(x[..., None, :] - SIGNS).sum(-1)
  p = special.softmax(-inverse_temperature * away, axis=-1)
  per_example = stats.entropy(p, axis=-1).mean(1)
  return per_example - diversity * stats.entropy(p.mean((0, 1)))


def test_number_of_weights(key):
  params, state = jax.jit(lfq.LookupFree().init)(key)
  assert sum(w.size for w in jax.tree.leaves(params)) == 10_762
  assert state == {}
  assert params["project_in"]["kernel"].shape == (512, 10)
  assert params["project_out"]["kernel"].shape == (10, 512)
  for weights, fan_in in zip(
    (params["project_in"], params["project_out"]), (512, 10), strict=True
  ):
    bound = fan_in**-0.5
    for values in weights.values():
      assert 0.7 * bound < np.abs(values).max() <= bound


def test_the_first_sign_is_the_most_significant_bit(params, z, quantized):
  x = linear(params["project_in"], z)
  assert np.abs(x).min() > 1e-5, "no sign hangs on rounding"
  bits = "".join("1" if v > 0 else "0" for v in x[1, 2, 3])
  assert quantized.ids[1, 2, 3] == int(bits, 2)
  np.testing.assert_array_equal(SIGNS[quantized.ids], np.sign(x))
  assert quantized.ids.dtype == np.int32


def test_values_are_the_signs_mapped_out(params, z, quantized):
  signs = np.sign(linear(params["project_in"], z))
  expected = linear(params["project_out"], signs)
  np.testing.assert_allclose(quantized.values, expected, rtol=1e-5, atol=1e-6)


def test_lookup_gives_the_values(params, quantized):
  lookup = jax.jit(SMALL.lookup)
  for ids, values in (
    (quantized.ids, quantized.values),
    (quantized.ids[:1, 0], quantized.values[:1, 0]),
  ):
    found = lookup(params, {}, jnp.asarray(ids))
    # The same six summands, added by another program: six roundings by 6e-8 of
    # sums below 4.
    np.testing.assert_allclose(found, values, rtol=0, atol=2e-6)


def test_zero_counts_as_negative(params):
  weights = jax.tree.map(jnp.zeros_like, params["project_in"])
  still = params | {"project_in": weights}
  ids = jax.jit(SMALL.quantize)(still, {}, jnp.ones((1, 2, 7))).ids
  assert (ids == 0).all()


def test_commitment(params, z, quantized):
  x = linear(params["project_in"], z)
  expected = np.square(np.abs(x) - 1).mean((1, 2, 3))
  np.testing.assert_allclose(quantized.commitment, expected, rtol=1e-5)


def test_entropy_is_that_of_all_codes_written_out(params, z, quantized):
  x = linear(params["project_in"], z).reshape(3, 20, 5)
  expected = entropy_loss(x, 1.5, 0.7)
  assert np.ptp(expected) > 0.01
  np.testing.assert_allclose(quantized.entropy, expected, rtol=1e-5, atol=1e-6)


def test_entropy_when_vectors_are_sure(params, z):
  """At the default temperature most probabilities are 0 in float32."""
  sharp = dataclasses.replace(SMALL, inverse_temperature=100.0)

  def loss(params):
    entropy = sharp.quantize(params, {}, z[:1]).entropy
    return jnp.sum(entropy), entropy

  gradient, entropy = jax.jit(jax.grad(loss, has_aux=True))(params)
  x = linear(params["project_in"], z[:1]).reshape(1, 20, 5)
  expected = entropy_loss(x, 100.0, 0.7)
  np.testing.assert_allclose(entropy, expected, rtol=1e-4)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_entropy_gradient_by_finite_differences(params, z):
  bias = np.asarray(params["project_in"]["bias"], np.float64)

  def at(bias):
    weights = params["project_in"] | {"bias": bias}
    x = linear(weights, z).reshape(3, 20, 5)
    return entropy_loss(x, 1.5, 0.7).mean()

  def loss(bias):
    weights = params["project_in"] | {"bias": bias}
    changed = params | {"project_in": weights}
    return jnp.mean(SMALL.quantize(changed, {}, z).entropy)

  steps = 1e-5 * np.eye(5)
  expected = [(at(bias + s) - at(bias - s)) / 2e-5 for s in steps]
  gradient = jax.jit(jax.grad(loss))(params["project_in"]["bias"])
  np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_gradient_passes_the_signs(params, z):
  weights = jax.random.normal(jax.random.key(3), SHAPE)

  def loss(params, z):
    return jnp.sum(weights * SMALL.quantize(params, {}, z).values)

  to_params, to_z = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, z)
  g = np.asarray(weights, np.float64).reshape(-1, 7)
  into, out = (
    np.asarray(params[name]["kernel"], np.float64)
    for name in ("project_in", "project_out")
  )
  flat = np.asarray(z, np.float64).reshape(-1, 7)
  signs = np.sign(linear(params["project_in"], flat))
  expected = {
    "project_in": {"kernel": flat.T @ g @ out.T, "bias": (g @ out.T).sum(0)},
    "project_out": {"kernel": signs.T @ g, "bias": g.sum(0)},
  }
  np.testing.assert_allclose(
    to_z.reshape(-1, 7), g @ out.T @ into.T, rtol=1e-4, atol=1e-5
  )
  for name, parts in expected.items():
    for part, value in parts.items():
      np.testing.assert_allclose(
        to_params[name][part], value, rtol=1e-4, atol=1e-4
      )


def test_commitment_moves_the_input_to_its_signs(params, z):
  def loss(bias):
    weights = params["project_in"] | {"bias": bias}
    changed = params | {"project_in": weights}
    return jnp.sum(SMALL.quantize(changed, {}, z).commitment)

  gradient = jax.jit(jax.grad(loss))(params["project_in"]["bias"])
  x = linear(params["project_in"], z)
  expected = (2 * (x - np.sign(x)) / np.prod(x.shape[1:])).sum((0, 1, 2))
  np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_few_codes_all_occur(key):
  codes = 8
  quantizer = lfq.LookupFree(codes=codes, width=7)
  params, state = jax.jit(quantizer.init)(key)
  # The bias could outweigh the input; it is not what is tested.
  params["project_in"]["bias"] *= 0
  z = 3 * jax.random.normal(key, (8, 64, 7))
  quantized = jax.jit(quantizer.quantize)(params, state, z)
  assert set(np.asarray(quantized.ids).ravel()) == set(range(codes))
  assert quantizer.update(state, z, quantized.ids, key) == {}


def test_codes_are_a_power_of_two():
  with pytest.raises(errors.UserError, match=r"quantizer\.codes.* 1000"):
    dataclasses.replace(SMALL, codes=1000)

"""Properties of every entry of the table."""

import jax
import numpy as np
import pytest

from pseudovideo import errors, fields
from pseudovideo.devices import sharding
from pseudovideo.models import quantizers

SMALL = {"codes": 16, "width": 6}


def run(name, key, devices):
  """Three steps of training on `devices`, on a batch cut over them."""
  quantizer = quantizers.TABLE[name](**SMALL)
  mesh = sharding.make_mesh(jax.devices()[:devices])
  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)

  def step(params, state, z, key):
    quantized = quantizer.quantize(params, state, z)
    return quantized, quantizer.update(state, z, quantized.ids, key)

  step = jax.jit(
    step, in_shardings=(whole, whole, cut, whole), out_shardings=(cut, whole)
  )
  params, state = jax.jit(quantizer.init)(key)
  rng = np.random.default_rng(0)
  for i in range(3):
    z = rng.normal(size=(8, 3, 4, 6)).astype(np.float32)
    z = sharding.put_batch({"z": z}, mesh)["z"]
    quantized, state = step(params, state, z, jax.random.fold_in(key, i))
  return jax.device_get((quantized, state))


@pytest.mark.parametrize("name", ["cosine", "lookup_free"])
def test_four_devices_give_what_one_gives(name, key):
  (one, state), (four, other) = run(name, key, 1), run(name, key, 4)
  np.testing.assert_array_equal(four.ids, one.ids)
  assert len(set(one.ids.ravel())) > 8
  for a, b in zip(
    jax.tree.leaves((one, state)), jax.tree.leaves((four, other)), strict=True
  ):
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_a_section_of_a_config_makes_one():
  for cls in quantizers.TABLE.values():
    values = fields.read_section(cls, SMALL, "quantizer")
    quantizer = cls(**values)
    assert (quantizer.codes, quantizer.width) == (16, 6)
    with pytest.raises(errors.UserError, match="codebook_size"):
      fields.read_section(cls, {"codebook_size": 3}, "quantizer")


@pytest.mark.parametrize("name", quantizers.TABLE)
def test_any_number_of_axes(name, key):
  quantizer = quantizers.TABLE[name](**SMALL)
  params, state = jax.jit(quantizer.init)(key)
  z = np.asarray(jax.random.normal(key, (2, 12, 6)))
  quantize = jax.jit(quantizer.quantize)
  flat = quantize(params, state, z)
  grid = quantize(params, state, z.reshape(2, 2, 3, 2, 6))
  np.testing.assert_array_equal(grid.ids.reshape(2, 12), flat.ids)
  np.testing.assert_allclose(grid.commitment, flat.commitment, rtol=1e-6)
  single = quantize(params, state, z[:, 0])
  np.testing.assert_array_equal(single.ids, flat.ids[:, 0])
  assert single.commitment.shape == (2,)

import jax
import numpy as np
import pytest

from pseudovideo import errors, sharding


def test_a_batch_is_cut_and_a_state_is_copied():
  mesh = sharding.make_mesh()
  assert mesh.size == 4
  rows = np.arange(8.0).reshape(8, 1)
  batch = sharding.put_batch({"x": rows}, mesh)["x"]
  parts = {s.device: np.asarray(s.data) for s in batch.addressable_shards}
  assert len(parts) == 4
  np.testing.assert_array_equal(
    np.concatenate([parts[d] for d in mesh.devices]), rows
  )
  whole = jax.device_put(rows, sharding.replicated(mesh))
  assert {s.data.shape for s in whole.addressable_shards} == {(8, 1)}


@pytest.mark.parametrize("size", [0, 6])
def test_a_batch_that_cannot_be_cut_evenly_is_refused(size):
  with pytest.raises(errors.UserError, match=f"devices, 4; got {size}"):
    sharding.check_batch_size("train.batch_size", size, sharding.make_mesh())

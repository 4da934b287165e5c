import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from pseudovideo import errors, keys
from pseudovideo.devices import batching, sharding
from pseudovideo.training import state


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


def test_the_longest_axis_that_can_be_is_cut():
  cuts = {
    (): (),
    (4,): (),  # Too small to be worth it.
    (63, 65): (),  # Four divides neither.
    (4096,): ("data",),
    (3, 3, 64, 128): (None, None, None, "data"),
    (3, 3, 128, 64): (None, None, "data"),
    (64, 64): (None, "data"),
    (4099, 8): (None, "data"),
  }
  states = state.create(
    {str(shape): np.zeros(shape, np.float32) for shape in cuts},
    {"seen": np.zeros(4096, np.float32)},
    optax.adam(0.1),
  )
  mesh = sharding.make_mesh()
  places = state.of_state(states, mesh, fsdp=True)
  (moments, *_) = places.opt_state
  for part in (places.params, places.ema, moments.mu, moments.nu):
    for shape, cut in cuts.items():
      assert part[str(shape)].spec == PartitionSpec(*cut), shape
  for alone in (places.step, places.extra["seen"], moments.count):
    assert alone.is_fully_replicated
  whole = state.of_state(states, mesh, fsdp=False)
  assert all(place.is_fully_replicated for place in jax.tree.leaves(whole))


def test_keys_and_arrays_are_put_where_they_belong():
  mesh = sharding.make_mesh()
  tree = {"keys": jax.random.split(jax.random.key(3), 8), "x": np.arange(8)}
  placed = sharding.put(tree, sharding.split_batch(mesh))
  for name, array in placed.items():
    assert {shard.data.shape for shard in array.addressable_shards} == {(2,)}
    assert array.dtype == jax.numpy.asarray(tree[name]).dtype
  np.testing.assert_array_equal(
    jax.random.key_data(placed["keys"]), jax.random.key_data(tree["keys"])
  )
  np.testing.assert_array_equal(placed["x"], tree["x"])


NUM = 11
EXAMPLES = np.random.default_rng(0).integers(0, 256, (NUM, 2, 3), np.uint8)


def many(examples, batch_size, seen=None):
  """Sums, and a random number of each, of all examples in their order."""
  found = {"sum": np.zeros(len(examples)), "noise": np.zeros(len(examples))}
  done = []

  def function(params, extra, batch, rows):
    if seen is not None:
      seen.append((batch.shape, rows.shape))
    total = batch.sum((1, 2)) * params["scale"] + extra
    return {"sum": total, "noise": keys.uniform(rows, (len(batch),))}

  for place, results in batching.map_batches(
    function,
    ({"scale": np.float32(2)}, np.float32(0.5)),
    examples,
    key=jax.random.key(7),
    batch_size=batch_size,
  ):
    for name, array in results.items():
      assert isinstance(array, np.ndarray)
      assert array.shape == (place.stop - place.start,)
      found[name][place] = array
    done += range(place.start, place.stop)
  assert done == list(range(len(examples))), "each once, in order"
  return found


@pytest.mark.parametrize(
  ("batch_size", "compiled", "mapped"),
  [(1, 4, False), (5, 8, True), (11, 12, False), (1000, 12, True)],
)
def test_many_examples_do_not_notice_the_batch_size(
  tmp_path, batch_size, compiled, mapped
):
  examples, seen = EXAMPLES, []
  if mapped:
    np.save(tmp_path / "examples.npy", EXAMPLES)
    examples = np.load(tmp_path / "examples.npy", mmap_mode="r")
  found = many(examples, batch_size, seen)
  sums = 2.0 * EXAMPLES.astype(np.int64).sum((1, 2)) + 0.5
  np.testing.assert_array_equal(found["sum"], sums)
  noise = [
    jax.random.uniform(jax.random.fold_in(jax.random.key(7), i), (1,))[0]
    for i in range(NUM)
  ]
  np.testing.assert_array_equal(found["noise"], noise)
  # One program for all batches, the last one filled up.
  assert seen == [((compiled, 2, 3), (compiled,))]


def test_a_single_example_is_copied_to_every_device():
  found = many(EXAMPLES[4:5], 64)
  assert found["sum"] == [2.0 * EXAMPLES[4].astype(int).sum() + 0.5]


def test_blocks_of_any_size_are_one_sequence():
  blocks = [EXAMPLES[:3], EXAMPLES[3:3], EXAMPLES[3:4], EXAMPLES[4:]]
  seen = []

  def function(scale, batch):
    seen.append(batch.shape)
    return batch.sum((1, 2)) * scale

  found = list(batching.map_batches(function, (2.0,), blocks, batch_size=5))
  places = [range(NUM)[rows] for rows, _ in found]
  assert [list(rows) for rows in places] == [
    [0, 1, 2],
    [3],
    [4, 5, 6, 7, 8, 9, 10],
  ]
  for rows, sums in found:
    expected = 2.0 * EXAMPLES[rows].astype(int).sum((1, 2))
    np.testing.assert_array_equal(sums, expected)
  assert seen == [(8, 2, 3)], "one program"
  assert list(batching.map_batches(function, (2.0,), [], batch_size=5)) == []

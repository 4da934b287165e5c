"""Batches: what is drawn when, and by whom."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudovideo import errors
from pseudovideo.data import pipeline


def numbered(num: int) -> tuple[np.ndarray, np.ndarray]:
  """Images whose only pixel and whose label are their index."""
  images = np.arange(num, dtype=np.uint8).reshape(num, 1, 1, 1)
  return images, np.arange(num, dtype=np.int64)


def make(num: int, batch_size: int, **settings) -> pipeline.Batches:
  settings = {"seed": 3, **settings}
  return pipeline.Batches(*numbered(num), batch_size=batch_size, **settings)


def drawn(batches: pipeline.Batches, steps: range) -> np.ndarray:
  return np.concatenate([batches.batch(step)["label"] for step in steps])


@settings(max_examples=30, deadline=None)
@given(num=st.integers(1, 40), batch_size=st.integers(1, 100))
def test_every_image_exactly_once_per_epoch(num: int, batch_size: int):
  stream = drawn(make(num, batch_size), range(3 * num))
  for epoch in range(3):
    part = stream[epoch * num : (epoch + 1) * num]
    np.testing.assert_array_equal(np.sort(part), np.arange(num))


def test_epochs_and_seeds_differ():
  stream = drawn(make(200, 100), range(4))
  assert (stream[:200] != stream[200:]).any()
  assert (stream != drawn(make(200, 100, seed=4), range(4))).any()


def test_order_does_not_depend_on_the_batch_size():
  np.testing.assert_array_equal(
    drawn(make(30, 4), range(30)), drawn(make(30, 60), range(2))
  )


def test_images_and_labels_stay_together():
  for step in range(5):
    batch = make(50, 16).batch(step)
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], batch["label"])
    assert batch["image"].dtype == np.uint8
    assert batch["label"].dtype == np.int32


@pytest.mark.parametrize("num", [5, 64])
def test_processes_share_the_batch(num: int):
  whole = make(num, 12)
  parts = [make(num, 12, process_index=i, process_count=3) for i in range(3)]
  for step in range(20):
    rows = np.concatenate([part.batch(step)["label"] for part in parts])
    np.testing.assert_array_equal(rows, whole.batch(step)["label"])


def test_batch_is_pure():
  """Steps in any order, by any instance, repeated or resumed: equal batches."""
  batches = make(20, 7)
  forward = [batches.batch(step)["label"] for step in range(30)]
  for step in (29, 3, 17, 3, 0):
    np.testing.assert_array_equal(batches.batch(step)["label"], forward[step])
    np.testing.assert_array_equal(
      make(20, 7).batch(step)["label"], forward[step]
    )


def test_permutation_is_frozen():
  """Raw Philox output never changes, so neither may the order of images."""
  assert pipeline.permutation(0, 10, 0).tolist() == [
    0,
    2,
    9,
    1,
    8,
    5,
    4,
    3,
    6,
    7,
  ]
  assert pipeline.permutation(7, 10, 2).tolist() == [
    6,
    7,
    8,
    4,
    0,
    1,
    5,
    3,
    9,
    2,
  ]
  np.testing.assert_array_equal(
    drawn(make(10, 10, seed=7), range(2, 3)), pipeline.permutation(7, 10, 2)
  )


def test_permutations_are_uniform():
  """Each image is equally often first: chi-square over 4,000 epochs."""
  first = [pipeline.permutation(0, 8, epoch)[0] for epoch in range(4000)]
  counts = np.bincount(first, minlength=8)
  assert ((counts - 500) ** 2 / 500).sum() < 24.3  # 99.9% for 7 degrees


def test_no_labels_no_label():
  images, _ = numbered(4)
  batches = pipeline.Batches(images, None, batch_size=2, seed=0)
  assert set(batches.batch(0)) == {"image", "index"}
  held_out = next(pipeline.held_out(images, None, 3))
  assert set(held_out) == {"image", "index", "mask"}


def test_memory_mapped_images_become_plain_arrays(tmp_path):
  images, labels = numbered(10)
  np.save(tmp_path / "images.npy", images)
  mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
  batch = pipeline.Batches(mapped, labels, batch_size=4, seed=3).batch(1)
  assert type(batch["image"]) is np.ndarray
  np.testing.assert_array_equal(batch["image"], make(10, 4).batch(1)["image"])


@pytest.mark.parametrize(("batch_size", "processes"), [(5, 2), (0, 1), (-4, 2)])
def test_batch_size_that_cannot_be_divided(batch_size: int, processes: int):
  with pytest.raises(errors.UserError, match=f"batch size {batch_size} cannot"):
    make(8, batch_size, process_count=processes)


def test_no_images():
  with pytest.raises(errors.UserError, match="no images"):
    make(0, 4)


def workers() -> list[threading.Thread]:
  return [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_prefetch_yields_every_step_in_order():
  batches = make(20, 8)
  seen = list(
    pipeline.prefetch(lambda step: batches.batch(step)["label"] + 100, 3, 11)
  )
  assert [step for step, _ in seen] == list(range(3, 11))
  for step, label in seen:
    np.testing.assert_array_equal(label, batches.batch(step)["label"] + 100)
  assert not workers()


def test_prefetch_of_nothing():
  assert list(pipeline.prefetch(make(4, 2).batch, 5, 5)) == []


def test_prefetch_runs_ahead_but_not_far():
  made = threading.Semaphore(0)
  count = []

  def made_up(step: int) -> None:
    count.append(1)
    made.release()

  stream = pipeline.prefetch(made_up, 0, 100)
  next(stream)
  for _ in range(1 + pipeline.AHEAD):  # they come without being asked for
    assert made.acquire(timeout=10)
  time.sleep(0.05)
  assert len(count) == 1 + pipeline.AHEAD
  stream.close()
  assert not workers()


def test_prefetch_passes_the_exception_on():
  def broken(step: int) -> int:
    if step == 2:
      raise OSError("the device is gone")
    return 0

  with pytest.raises(OSError, match="the device is gone"):
    list(pipeline.prefetch(broken, 0, 10))
  assert not workers()


@pytest.mark.parametrize(("num", "batch_size"), [(10, 4), (8, 4), (3, 5)])
def test_held_out_covers_the_set_once_in_order(num: int, batch_size: int):
  batches = list(pipeline.held_out(*numbered(num), batch_size))
  assert all(len(b["image"]) == batch_size for b in batches)
  labels = np.concatenate([b["label"] for b in batches])
  mask = np.concatenate([b["mask"] for b in batches])
  assert mask.dtype == np.float32
  np.testing.assert_array_equal(labels[mask == 1], np.arange(num))
  assert mask.sum() == num and len(mask) - num < batch_size
